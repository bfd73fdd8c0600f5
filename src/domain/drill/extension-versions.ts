import type { DrillFinding } from '#contracts/drill.ts';
import { displayName, displayText } from '../display-text.ts';
import { environmentFinding } from './findings.ts';

interface Extension {
  readonly name: string;
  readonly version: string;
}

/**
 * Extensions that came back in another version than the source had. An archive names none, and a server makes the
 * version that it thinks newest: what the extension's functions and types do was rehearsed with that one. Of those
 * that are not there at all others tell. Backups of older versions do not say what there was: undefined.
 */
export function versionFindings(
  recorded: readonly Extension[] | undefined,
  present: readonly Extension[],
): DrillFinding[] {
  const before = new Map(recorded?.map(({ name, version }) => [name, version]));
  const changed = present.flatMap(({ name, version }) => {
    const was = before.get(name);
    return was === undefined || was === version ? [] : [{ name, version, was }];
  });
  const [first, ...others] = changed;
  if (!first) return [];
  const list = changed.map(
    ({ name, version, was }) =>
      `${displayName(name)} ${displayText(version, 40)}, where the source had ${displayText(was, 40)}`,
  );
  return [
    environmentFinding(
      'extensions',
      others.length === 0 ? first.name : null,
      `the drill's server has other versions of extensions: ${list.join('; ')}`,
      'a server that is restored to does the same: ALTER EXTENSION … UPDATE on the source makes both alike',
    ),
  ];
}
