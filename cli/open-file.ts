import { startProgram } from '#adapters/programs.ts';
import { HoldfastError, InvalidEnvironment } from '#errors';

/** What opens a file with the program that its user has for it, by `process.platform`. */
export function openerOf(platform: string, file: string): { path: string; args: string[] } {
  switch (platform) {
    case 'darwin':
      return { path: 'open', args: [file] };
    case 'win32':
      // Not `start`, which a shell would have to read.
      return { path: 'explorer.exe', args: [file] };
    default:
      return { path: 'xdg-open', args: [file] };
  }
}

/** What a program that shows windows needs of the environment. */
const OF_THE_DESKTOP =
  /^(PATH|HOME|USER|LANG|LC_\w+|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|XDG_\w+|DBUS_SESSION_BUS_ADDRESS|BROWSER|WSL_\w+|SystemRoot|USERPROFILE)$/;

const OPENS_WITHIN_MILLISECONDS = 15_000;

/** Opens a file as a double click would. Throws InvalidEnvironment where nothing can. */
export async function openFile(
  file: string,
  environment: Readonly<Record<string, string | undefined>>,
  platform: string = process.platform,
): Promise<void> {
  const { path, args } = openerOf(platform, file);
  const passed = Object.entries(environment).filter(([name]) => OF_THE_DESKTOP.test(name));
  try {
    const program = startProgram({
      path,
      args,
      environment: Object.fromEntries(passed.map(([name, value]) => [name, value ?? ''])),
      signal: AbortSignal.timeout(OPENS_WITHIN_MILLISECONDS),
    });
    program.stdin.end();
    program.stdout.resume();
    const { exitCode } = await program.ended;
    // Explorer ends with 1 though it has opened the file.
    if (exitCode === 0 || platform === 'win32') return;
    throw new InvalidEnvironment(`${path} ended with ${exitCode}`, {
      remedy: `open ${file} yourself`,
    });
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw new InvalidEnvironment(`${path} cannot be started`, {
      remedy: `open ${file} yourself`,
      cause: error,
    });
  }
}
