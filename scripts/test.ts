import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describeMissing, ensurePostgresClients } from './postgres-clients.ts';

/**
 * `npm test`: clients, types, format, lint, every tier. Arguments go to vitest: `npm test -- test/unit`
 * runs one tier. Ends with the line "N passed, N failed, N skipped".
 */
const root = resolve(import.meta.dirname, '..');
const CODE = ['functions', 'cli', 'tasks', 'src', 'local', 'resources', 'scripts', 'test', 'bench'];
const CHECKS: readonly [string, readonly string[]][] = [
  ['types', ['tsc', '--noEmit']],
  ['format and lint', ['biome', 'check', '.']],
  ['type-aware lint', ['oxlint', '--type-aware', ...CODE]],
];

/** npm puts the binaries of this checkout, and its Node, first on PATH. */
function run(command: string, args: readonly string[]): boolean {
  const { status } = spawnSync('npx', ['--no-install', command, ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  return status === 0;
}

function failBeforeTests(what: string): never {
  console.log(`\n${what} failed; no test was run\n\n0 passed, 1 failed`);
  process.exit(1);
}

const clients = await ensurePostgresClients();
for (const line of describeMissing(clients.missing)) console.log(line);
if (clients.fellBackTo) console.log(clients.fellBackTo);
if (clients.majors.length === 0) failBeforeTests('preparing the PostgreSQL clients');

for (const [name, [command = '', ...args]] of CHECKS) {
  console.log(`${name} …`);
  if (!run(command, args)) failBeforeTests(name);
}
process.exitCode = run('vitest', ['run', ...process.argv.slice(2)]) ? 0 : 1;
