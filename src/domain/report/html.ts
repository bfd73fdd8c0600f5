/**
 * The only way in which markup is made: `html` escapes every value that is not markup already. Names come from
 * databases that anybody may have named.
 */
export class Markup {
  readonly text: string;

  /** Only for what is made here and by {@link html}. */
  constructor(text: string) {
    this.text = text;
  }
}

export type HtmlValue = string | number | Markup | null | undefined | false | readonly HtmlValue[];

/**
 * Markup with its values escaped; lists are joined, `null`, `undefined` and `false` are nothing. A value may stand
 * in text and in quoted attributes: anywhere else it throws a TypeError, as escaping would not be enough there.
 */
export function html(strings: TemplateStringsArray, ...values: HtmlValue[]): Markup {
  let text = '';
  for (const [index, part] of strings.entries()) {
    text += part;
    if (index >= values.length) break;
    if (!isSafePlace(text)) throw new TypeError(`a value cannot stand after ${text.slice(-40)}`);
    text += render(values[index]);
  }
  return new Markup(text);
}

function render(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(render).join('');
  return escapeHtml(String(value));
}

/** In text, or between the quotes of an attribute that is no program. */
function isSafePlace(before: string): boolean {
  const tagStart = before.lastIndexOf('<');
  const inTag = tagStart > before.lastIndexOf('>');
  if (!inTag) return !/<(script|style)\b[^>]*>[^<]*$/i.test(before);
  const tag = before.slice(tagStart);
  const attribute = /\s([\w:-]+)="[^"]*$/.exec(tag)?.[1];
  return attribute !== undefined && !/^(on|style$|srcdoc$)/i.test(attribute);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/** What turns the direction of reading: it would reach beyond the text that has it. */
const DIRECTIONS = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;

/**
 * Text for an HTML document: what no document may hold (controls, lone surrogates) becomes U+FFFD, and what turns the
 * direction of reading is told by its code point: `\u{202e}`.
 */
export function escapeHtml(text: string): string {
  return text
    .replace(/[^\P{Cc}\n\t]|\p{Cs}|[\uFFFE\uFFFF]/gu, '\uFFFD')
    .replace(DIRECTIONS, (char) => `\\u{${char.charCodeAt(0).toString(16)}}`)
    .replace(/[&<>"'`]/g, (char) => ENTITIES[char] ?? '');
}
