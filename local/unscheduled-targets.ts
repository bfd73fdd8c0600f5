/** Of sources that nobody schedules: the plan's own defaults judge no RPO without a schedule, and a day is what most have. */
export const UNSCHEDULED_TARGETS = { rtoMinutes: 240, rpoMinutes: 1440 } as const;
