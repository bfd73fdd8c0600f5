import type { SourcePlan } from '#contracts/source-plan.ts';
import { possibleDrillKinds } from '../drill/drill-kinds.ts';
import type { Schedule } from '../schedule.ts';

/** A schedule that starts something of a source. */
export interface PlanSchedule {
  readonly starts: 'backups' | 'drills';
  /**
   * EventBridge Scheduler's, in the group of the stage. Format: `<source>`, `<source>.drill`; at most 64 characters, of
   * which a source has 40, and no source has a dot.
   */
  readonly name: string;
  readonly schedule: Schedule;
}

/** The schedules that a plan wants: none, that of backups, that of drills, or both. */
export function planSchedules(
  plan: Pick<SourcePlan, 'source' | 'schedule' | 'drill' | 'kinds' | 'engine'>,
): PlanSchedule[] {
  const { source, schedule, drill } = plan;
  const schedules: PlanSchedule[] = [];
  if (schedule) schedules.push({ starts: 'backups', name: source, schedule });
  if (drill.schedule !== 'none' && possibleDrillKinds(plan).length > 0) {
    schedules.push({ starts: 'drills', name: `${source}.drill`, schedule: drill.schedule });
  }
  return schedules;
}
