import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeHtml, html } from '#domain/report/html.ts';
import { HOSTILE_NAMES } from '#test/report-history.ts';

/** What a browser makes of text without markup in it. */
function read(text: string): string {
  const entities: Record<string, string> = {
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    '#39': "'",
    '#96': '`',
  };
  return text.replace(/&(\w+|#\d+);/g, (_, name: string) => entities[name] ?? '?');
}

describe('markup', () => {
  it('escapes what stands in text and in attributes, and nothing twice', () => {
    const inner = html`<b>${'<i>'}</b>`;
    expect(html`<p title="${'"x" & <y>'}">${inner}${['a', '<', inner]}</p>`.text).toBe(
      '<p title="&quot;x&quot; &amp; &lt;y&gt;"><b>&lt;i&gt;</b>a&lt;<b>&lt;i&gt;</b></p>',
    );
  });

  it('leaves out what is nothing, and shows 0', () => {
    expect(html`<p>${null}${undefined}${false}${0}${''}</p>`.text).toBe('<p>0</p>');
  });

  it.each(HOSTILE_NAMES)('keeps a hostile name text: %s', (name) => {
    const { text } = html`<td data-name="${name}">${name}</td>`;
    expect(text.match(/[<>]/g)).toEqual(['<', '>', '<', '>']);
    expect(text.match(/(?<!=)"(?!>)/g)).toBeNull();
  });

  it('gives any text back as it was, but for what no document may hold', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const escaped = escapeHtml(text);
        expect(escaped).not.toMatch(/[<>"'`]/);
        expect(escaped).not.toMatch(/&(?!(amp|lt|gt|quot|#39|#96);)/);
        const allowed = text
          .replace(/[^\P{Cc}\n\t]|[\uFFFE\uFFFF]/gu, '\uFFFD')
          .replace(
            /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g,
            (char) => `\\u{${char.charCodeAt(0).toString(16)}}`,
          );
        expect(read(escaped)).toBe(allowed);
      }),
      { numRuns: 500 },
    );
  });

  it('replaces controls and lone surrogates', () => {
    expect(escapeHtml('a\u0000b\u001bc\ud800d')).toBe('a\uFFFDb\uFFFDc\uFFFDd');
  });

  it('tells what turns the direction of reading', () => {
    expect(escapeHtml('a\u202Eb\u2066c')).toBe('a\\u{202e}b\\u{2066}c');
  });

  it('refuses a value where escaping is not enough', () => {
    const value = 'x';
    expect(() => html`<p class=${value}>`).toThrow(TypeError);
    expect(() => html`<${value}>`).toThrow(TypeError);
    expect(() => html`<p ${value}>`).toThrow(TypeError);
    expect(() => html`<p onclick="${value}">`).toThrow(TypeError);
    expect(() => html`<p style="${value}">`).toThrow(TypeError);
    expect(() => html`<script>${value}</script>`).toThrow(TypeError);
    expect(() => html`<style>${value}</style>`).toThrow(TypeError);
  });
});
