import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { errorName } from '#errors';
import { LOCAL, readDefinitions } from '#local/stack.ts';
import { startUiServer } from '#local/ui/ui-server.ts';

const HELP = `Serves what npm start left, and what it is doing, as pages for a browser on this machine.

  npm run ui                  prints the address; Ctrl-C ends it

  --out DIR    the folder of npm start (default .holdfast)
  --port N     default: any that is free
  --help

Exit codes: 0 ended, 1 it failed, 2 the command cannot be understood.`;

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        out: { type: 'string', default: '.holdfast' },
        port: { type: 'string', default: '0' },
        help: { type: 'boolean', default: false },
      },
    });
    const port = Number(values.port);
    if (!/^\d{1,5}$/.test(values.port) || port > 65_535) {
      throw new Error('--port takes a number up to 65535');
    }
    return { ...values, port };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : ''}\n\n${HELP}`);
    return undefined;
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  if (!options) return 2;
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const server = await startUiServer({
    directory: resolve(options.out),
    bucket: LOCAL.bucket,
    definitions: await readDefinitions(),
    port: options.port,
  });
  console.log(server.url);
  await new Promise<void>((done) => {
    process.once('SIGINT', () => done());
    process.once('SIGTERM', () => done());
  });
  await server.close();
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${errorName(error)}: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
