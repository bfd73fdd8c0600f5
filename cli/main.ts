import { connectTo } from './deployment.ts';
import { EXIT } from './exit-codes.ts';
import { runCli } from './program.ts';
import { processTerminal } from './terminal.ts';

/** What is waited for gets so long to let go after Ctrl-C. */
const GRACE_MILLISECONDS = 3_000;

const interruption = new AbortController();
function interrupt(): void {
  if (interruption.signal.aborted) process.exit(EXIT.interrupted);
  interruption.abort();
  setTimeout(() => process.exit(EXIT.interrupted), GRACE_MILLISECONDS).unref();
}
process.on('SIGINT', interrupt);
process.on('SIGTERM', interrupt);
// A reader that has seen enough, such as `head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});

// The SDK is bundled at a version that runs on this Node: what later ones need is not the caller's matter.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

process.exitCode = await runCli(process.argv.slice(2), {
  terminal: processTerminal(),
  environment: process.env,
  signal: interruption.signal,
  connect: connectTo(process.env),
});
