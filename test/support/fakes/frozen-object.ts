import type { ObjectHead } from '#runtime/ports.ts';
import type { MemoryObjects } from './memory-objects.ts';

/** An object of the memory bucket as it lies in Glacier; change it as S3 would. */
export interface FrozenObject {
  storageClass: string;
  retrieval: ObjectHead['retrieval'];
  /** What RestoreObject was asked for, oldest first. */
  readonly requests: Parameters<MemoryObjects['retrieve']>[1][];
}

/** Freezes every version of the key, until `retrieval` is set to `done`. */
export function freezeObject(
  objects: MemoryObjects,
  key: string,
  storageClass = 'GLACIER',
): FrozenObject {
  const frozen: FrozenObject = { storageClass, retrieval: 'none', requests: [] };
  const head = objects.head.bind(objects);
  const retrieve = objects.retrieve.bind(objects);
  objects.head = async (asked, versionId) => {
    const found = await head(asked, versionId);
    if (asked !== key) return found;
    return found && { ...found, storageClass: frozen.storageClass, retrieval: frozen.retrieval };
  };
  objects.retrieve = async (asked, options) => {
    const otherwise = await retrieve(asked, options);
    if (asked !== key) return otherwise;
    frozen.requests.push(options);
    if (frozen.retrieval === 'done') return 'done';
    frozen.retrieval = 'ongoing';
    return 'ongoing';
  };
  return frozen;
}
