import { systemClock } from '#adapters/clock.ts';
import type { Clock } from '../ports.ts';

export const provideClock = (): Clock => systemClock;
