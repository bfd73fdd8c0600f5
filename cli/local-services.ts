import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LOCAL_SERVICES_FILE, LocalServices } from '#contracts/local-services.ts';
import { DeploymentNotFound } from '#errors';

const START = 'start them with npm start -- --keep, and leave that running';

/** The services that run on this machine. Throws DeploymentNotFound when none do. */
export async function readLocalServices(directory: string): Promise<LocalServices> {
  const file = join(directory, LOCAL_SERVICES_FILE);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) {
    throw new DeploymentNotFound(`no local services run in ${directory}`, { remedy: START });
  }
  const services = LocalServices.safeParse(parseJson(text));
  if (!services.success) {
    throw new DeploymentNotFound(`${file} is not understood`, { remedy: START });
  }
  if (!isAlive(services.data.pid)) {
    throw new DeploymentNotFound(
      `the local services of ${directory} have ended (process ${services.data.pid})`,
      { remedy: START },
    );
  }
  return services.data;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
