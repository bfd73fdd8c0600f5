import { type Command, Option } from 'commander';
import { displayBytes, displayName } from '#domain/display-text.ts';
import { displayAge, displayUtc, relativeTime } from '#domain/display-time.ts';
import { type BackupFile, backupKey, encodeDatabaseName } from '#domain/names.ts';
import { BackupNotFound, ObjectMissing, RetrievalNeeded } from '#errors';
import { loadManifest } from '#operations/records.ts';
import { needsRetrieval } from '../backup-details.ts';
import { addExamples, type CliContext } from '../context.ts';
import { findVerifiedBackup } from '../find-backup.ts';
import { readExpiry } from '../link-expiry.ts';

interface LinkOptions {
  readonly file: LinkFile;
  readonly expires: string;
}

const FILES = [
  'archive.dump',
  'toc.dump',
  'globals.sql',
  'manifest.json',
  'verification.json',
] as const satisfies BackupFile[];
type LinkFile = (typeof FILES)[number];

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('link')
    .description('a link to download a verified backup, for whoever has it')
    .argument('<backup>', 'source/database/id, or source/database/latest')
    .addOption(new Option('--file <file>', 'of the backup').choices(FILES).default('archive.dump'))
    .option('--expires <time>', 'how long it works, at most 12h', '15m')
    .action(link);
  addExamples(command, [
    'holdfast link orders/shop/latest',
    'holdfast link orders/shop/20261120T030000Z-k3v9qd --expires 2h',
    'holdfast link orders/shop/latest --file globals.sql --json',
  ]);

  async function link(reference: string, options: LinkOptions, self: Command): Promise<void> {
    const { out, open } = context.begin(self);
    const expiresSeconds = readExpiry(options.expires);
    const { deps } = await open();
    const backup = await findVerifiedBackup(
      deps,
      reference,
      'there are links to verified backups only; choose another',
    );
    const key = backupKey(backup, options.file);
    const versionId = await versionOf(deps.objects, backup, options.file);
    const head = await deps.objects.head(key, versionId);
    if (!head) throw new BackupNotFound(`there is no ${key}`, { remedy: 'choose another backup' });
    if (needsRetrieval(head)) {
      throw new RetrievalNeeded(`${key} lies in ${head.storageClass} and cannot be downloaded`);
    }
    const { source, database, backupId } = backup;
    const made = await deps.links.create({
      key,
      versionId,
      fileName: `${source}-${encodeDatabaseName(database)}-${backupId}-${options.file}`,
      expiresSeconds,
    });
    const { url, expiresAt, credentialsEndAt } = made;
    const now = deps.clock.now();
    const endsSooner = credentialsEndAt !== undefined && credentialsEndAt < expiresAt;
    const worksUntil = endsSooner ? credentialsEndAt : expiresAt;
    out.result(
      {
        source,
        database,
        backupId,
        file: options.file,
        sizeBytes: head.sizeBytes,
        url,
        expiresAt: expiresAt.toISOString(),
        worksUntil: worksUntil.toISOString(),
        credentialsEndAt: credentialsEndAt?.toISOString() ?? null,
      },
      () => [url],
    );
    out.note(
      `${options.file} of ${source}/${displayName(database)}/${backupId}, ${displayBytes(head.sizeBytes)}; ` +
        `works until ${displayUtc(worksUntil)}, ${relativeTime(worksUntil, now)}`,
    );
    if (endsSooner) {
      const seconds = (credentialsEndAt.getTime() - now.getTime()) / 1000;
      out.warn(
        `the credentials that signed it end in ${displayAge(Math.max(0, seconds))}, and the link with them`,
      );
    }
    out.note('Whoever has it can read the data: hand it on as you would a password.');
  }
}

/** The version that was verified; a newer one under the same key is somebody else's. */
async function versionOf(
  objects: Parameters<typeof loadManifest>[0],
  backup: Parameters<typeof loadManifest>[1],
  file: LinkFile,
): Promise<string | undefined> {
  const found = await loadManifest(objects, backup);
  if (!found) {
    throw new ObjectMissing(`there is no ${backupKey(backup, 'manifest.json')} any more`, {
      remedy: 'choose another backup',
    });
  }
  const { archive, toc, globals } = found.manifest.objects;
  switch (file) {
    case 'archive.dump':
      return archive.versionId;
    case 'toc.dump':
      return toc.versionId;
    case 'globals.sql':
      return globals.versionId;
    case 'manifest.json':
      return found.head.versionId;
    case 'verification.json':
      return undefined;
  }
}
