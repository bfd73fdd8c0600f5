/**
 * EventBridge event patterns, as far as our rules use them: exact values, `prefix`, `suffix`,
 * `wildcard`, `anything-but`, `exists`, nesting and `$or`. Anything else throws.
 * Reference: "Creating Amazon EventBridge event patterns" in the EventBridge user guide.
 */
export type EventPattern = { readonly [field: string]: unknown };

/** Whether the event has what the pattern asks for. Throws TypeError for what we do not know. */
export function matchesPattern(pattern: EventPattern, event: unknown): boolean {
  return Object.entries(pattern).every(([field, wanted]) => {
    if (field === '$or') {
      return (wanted as EventPattern[]).some((alternative) => matchesPattern(alternative, event));
    }
    const value = isObject(event) ? event[field] : undefined;
    if (Array.isArray(wanted)) {
      // A list in the event matches when any of its values does.
      const values = Array.isArray(value) ? value : [value];
      return wanted.some((matcher) => values.some((it) => matchesValue(matcher, it)));
    }
    if (!isObject(wanted)) throw new TypeError(`pattern field ${field} is not a list or an object`);
    return Array.isArray(value)
      ? value.some((it) => matchesPattern(wanted, it))
      : matchesPattern(wanted, value);
  });
}

function matchesValue(matcher: unknown, value: unknown): boolean {
  if (!isObject(matcher)) return matcher === value;
  const operator = Object.keys(matcher)[0] ?? '';
  const operand = matcher[operator];
  switch (operator) {
    case 'exists':
      return (value !== undefined) === operand;
    case 'prefix':
      return typeof value === 'string' && value.startsWith(String(operand));
    case 'suffix':
      return typeof value === 'string' && value.endsWith(String(operand));
    case 'wildcard':
      return typeof value === 'string' && wildcard(String(operand)).test(value);
    case 'anything-but':
      // An absent field is not "anything".
      return value !== undefined && ![operand].flat().some((it) => matchesValue(it, value));
    default:
      throw new TypeError(`pattern operator ${JSON.stringify(operator)} is not known here`);
  }
}

/** `*` stands for any characters, `\*` for itself. */
function wildcard(text: string): RegExp {
  const parts = text.split(/(\\[\\*]|\*)/).map((part) => {
    if (part === '*') return '.*';
    return part.replace(/^\\([\\*])$/, '$1').replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('')}$`, 's');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
