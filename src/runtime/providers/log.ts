import { makeLog } from '#adapters/log.ts';
import type { Log } from '../ports.ts';

export const provideLog = (): Log => makeLog('holdfast');
