import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { planFileJsonSchema } from '#domain/plan-file.ts';

/** Writes the JSON Schema of plan files, by which editors complete and check them. */
const file = fileURLToPath(new URL('../config/holdfast.schema.json', import.meta.url));
writeFileSync(file, JSON.stringify(planFileJsonSchema()));
execFileSync('npx', ['biome', 'format', '--write', file], { stdio: 'inherit', timeout: 60_000 });
