import { expect, test } from 'vitest';
import { versionFindings } from '#domain/drill/extension-versions.ts';
import { failsDrill } from '#domain/drill/findings.ts';

const hstore = (version: string) => ({ name: 'hstore', version });
const gist = (version: string) => ({ name: 'btree_gist', version });

test('The same versions, and extensions that only one side has, are nothing to tell', () => {
  expect(versionFindings([hstore('1.8'), gist('1.7')], [hstore('1.8')])).toEqual([]);
  expect(versionFindings([], [hstore('1.8')])).toEqual([]);
});

test('The backup is of an older version of Holdfast and says nothing: neither do we', () => {
  expect(versionFindings(undefined, [hstore('1.8')])).toEqual([]);
});

test('One extension came back in another version: it is told, and fails nothing', () => {
  const [found] = versionFindings([hstore('1.4'), gist('1.7')], [gist('1.7'), hstore('1.8')]);
  expect(found).toMatchObject({
    class: 'environment',
    check: 'extensions',
    subject: 'hstore',
    message:
      "the drill's server has other versions of extensions: hstore 1.8, where the source had 1.4",
  });
  expect(found && failsDrill(found)).toBe(false);
});

test('Several came back in other versions: one finding has them all', () => {
  const found = versionFindings([hstore('1.4'), gist('1.6')], [hstore('1.8'), gist('1.7')]);
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({ subject: null });
  expect(found[0]?.message).toContain('btree_gist 1.7, where the source had 1.6');
});
