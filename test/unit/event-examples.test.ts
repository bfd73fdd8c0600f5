import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import {
  DrillDatabaseEvent,
  DrillInput,
  DrillServerEvent,
  NotifyDrillEvent,
  PlanDrillEvent,
} from '#contracts/drill.ts';
import { ObjectCreatedEvent, ObjectRestoreEvent, TaskStoppedEvent } from '#contracts/events.ts';
import { WriteReportEvent } from '#contracts/report.ts';
import {
  CleanUpRestoreEvent,
  NotifyRestoreEvent,
  PlanRestoreEvent,
  RestoreDatabaseEvent,
  RestoreInput,
  RetrieveArchiveEvent,
} from '#contracts/restore.ts';
import {
  CheckRestoredServerEvent,
  CleanUpServerEvent,
  NotifyServerRestoreEvent,
  PlanServerRestoreEvent,
  ServerRestoreEvent,
  ServerRestoreInput,
} from '#contracts/restore-server.ts';
import {
  ApplyRetentionEvent,
  BackupInput,
  CheckSnapshotEvent,
  DumpDatabaseEvent,
  NotifyEvent,
  PlanBackupEvent,
  RunEvent,
} from '#contracts/workflow.ts';
import { parseRequestBody, requestOfEvent } from '#domain/backup-input.ts';
import { parseBackupKey, parseJobKey, parseSnapshotId } from '#domain/names.ts';

const folder = new URL('../../examples/events/', import.meta.url);
const read = (name: string) => readFileSync(new URL(`${name}.json`, folder), 'utf8');

/** What reads each example. */
const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  'start-manual': BackupInput,
  'start-manual-with-options': BackupInput,
  'start-schedule': BackupInput,
  'start-request': ObjectCreatedEvent,
  'request-object': BackupInput.omit({ source: true }),
  'plan-backup': PlanBackupEvent,
  'create-snapshot': RunEvent,
  'check-snapshot': CheckSnapshotEvent,
  'discover-databases': RunEvent,
  'dump-database': DumpDatabaseEvent,
  'verify-backup': ObjectCreatedEvent,
  'handle-task-stopped': TaskStoppedEvent,
  'apply-retention': ApplyRetentionEvent,
  notify: NotifyEvent,
  'notify-failure': NotifyEvent,
  'write-report': WriteReportEvent,
  'start-restore': RestoreInput,
  'start-restore-with-options': RestoreInput,
  'plan-restore': PlanRestoreEvent,
  'retrieve-archive': RetrieveArchiveEvent,
  'restore-database': RestoreDatabaseEvent,
  'clean-up-restore': CleanUpRestoreEvent,
  'notify-restore': NotifyRestoreEvent,
  'resume-restore': ObjectRestoreEvent,
  'start-restore-server': ServerRestoreInput,
  'plan-server-restore': PlanServerRestoreEvent,
  'restore-server': ServerRestoreEvent,
  'check-restored-server': CheckRestoredServerEvent,
  'inspect-restored-server': CheckRestoredServerEvent,
  'clean-up-server': CleanUpServerEvent,
  'notify-server-restore': NotifyServerRestoreEvent,
  'start-drill': DrillInput,
  'start-drill-with-options': DrillInput,
  'plan-drill': PlanDrillEvent,
  'drill-database': DrillDatabaseEvent,
  'drill-server': DrillServerEvent,
  'notify-drill': NotifyDrillEvent,
  reconcile: z.object({ 'detail-type': z.literal('Scheduled Event') }),
};

describe('the example events', () => {
  it('are exactly those that are checked here, and every function has one', () => {
    const files = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));
    expect(files.sort()).toEqual(Object.keys(SCHEMAS).sort());
    const functions = readdirSync(new URL('../../functions/', import.meta.url));
    expect(files).toEqual(
      expect.arrayContaining(functions.map((file) => file.replace(/\.ts$/, ''))),
    );
  });

  it.each(Object.keys(SCHEMAS))('include %s.json, which its function understands', (name) => {
    expect(SCHEMAS[name]?.safeParse(JSON.parse(read(name))).error).toBeUndefined();
  });

  it('name things as Holdfast does', () => {
    const request = requestOfEvent(JSON.parse(read('start-request')));
    if (!request) throw new Error('start-request.json is no request');
    expect(parseRequestBody(request, read('request-object'))).toMatchObject({ source: 'orders' });
    const manifest = ObjectCreatedEvent.parse(JSON.parse(read('verify-backup')));
    expect(parseBackupKey(manifest.detail.object.key)?.file).toBe('manifest.json');
    const stopped = TaskStoppedEvent.parse(JSON.parse(read('handle-task-stopped')));
    const [container] = stopped.detail.overrides.containerOverrides;
    expect(parseJobKey(container?.environment?.[0]?.value ?? '')).toMatchObject({
      database: 'shop',
    });
    const { snapshot } = CheckSnapshotEvent.parse(JSON.parse(read('check-snapshot')));
    expect(parseSnapshotId(snapshot.snapshotId)?.source).toBe('orders');
  });
});
