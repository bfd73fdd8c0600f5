import { makeClients } from '#adapters/clients.ts';
import { readVariable } from '../environment.ts';
import type { Clients } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

export const provideClients = (environment: Environment): Clients =>
  makeClients(readVariable('HOLDFAST_POSTGRES_CLIENTS', environment));
