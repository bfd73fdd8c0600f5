/** One character that must be there, or a wildcard: `one` is any one, `any` is any number of them, also none. */
export type WildcardElement = { readonly char: string } | 'one' | 'any';

/** What a character of a pattern means where nothing protects it: `*` is `any`, `?` is `one`. */
export function wildcardElement(char: string): WildcardElement {
  return char === '*' ? 'any' : char === '?' ? 'one' : { char };
}

/**
 * Whether the whole text is as the elements say. Remembers only the last `any`, so that it takes at most
 * pattern times text steps, where a regular expression could take forever.
 */
export function matchesWildcards(elements: readonly WildcardElement[], text: string): boolean {
  const letters = Array.from(text);
  let at = 0;
  let star = -1;
  let starMatchedTo = 0;
  for (let letter = 0; letter < letters.length; ) {
    const element = elements[at];
    if (element === 'any') {
      star = at;
      at += 1;
      starMatchedTo = letter;
    } else if (element === 'one' || (element !== undefined && element.char === letters[letter])) {
      at += 1;
      letter += 1;
    } else if (star >= 0) {
      at = star + 1;
      starMatchedTo += 1;
      letter = starMatchedTo;
    } else {
      return false;
    }
  }
  return elements.slice(at).every((rest) => rest === 'any');
}
