import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real file system of few megabytes: its ENOSPC is the kernel's own. */
export interface SmallFileSystem {
  readonly directory: string;
  /** Bytes that files take up now. */
  usedBytes(): number;
  /** So many bytes may be written on top of what there is. */
  leaveRoom(bytes: number): void;
  /** Gives it back, whatever lies on it. */
  unmount(): void;
}

const mount = (...args: string[]) =>
  execFileSync('mount', args, { timeout: 120_000, stdio: ['ignore', 'ignore', 'pipe'] });

/** Memory as a disk; `owner` may write to it. Throws where this machine does not let us mount one. */
export function mountSmallFileSystem(owner?: { uid: number; gid: number }): SmallFileSystem {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-small-'));
  const resize = (bytes: number, ...options: string[]) =>
    mount('-t', 'tmpfs', '-o', [...options, `size=${bytes}`].join(','), 'tmpfs', directory);
  const usedBytes = () => {
    const { blocks, bfree, bsize } = statfsSync(directory);
    return (blocks - bfree) * bsize;
  };
  try {
    resize(ROOMY_BYTES, 'mode=0755');
    if (owner) chownSync(directory, owner.uid, owner.gid);
  } catch (error) {
    rmSync(directory, { recursive: true });
    throw error;
  }
  let mounted = true;
  const unmount = () => {
    if (!mounted) return;
    mounted = false;
    process.off('exit', unmount);
    // Lazily: a server that was killed may hold a file for a moment.
    execFileSync('umount', ['--lazy', directory], { timeout: 120_000 });
    rmSync(directory, { recursive: true });
  };
  process.on('exit', unmount);
  return {
    directory,
    usedBytes,
    leaveRoom: (bytes) => resize(usedBytes() + bytes, 'remount'),
    unmount,
  };
}

const ROOMY_BYTES = 1024 ** 3;

/** Why none can be made here; undefined where it can: that takes root on Linux, which CI need not have. */
export function whyNoSmallFileSystem(): string | undefined {
  try {
    mountSmallFileSystem().unmount();
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  }
}
