/** In-memory fakes of every port and builders of valid records; see the files beside. */
export * from './fakes/builders.ts';
export * from './fakes/crc64-reference.ts';
export * from './fakes/deps.ts';
export * from './fakes/memory-objects.ts';
export * from './fakes/servers.ts';
