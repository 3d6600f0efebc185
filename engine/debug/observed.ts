/** Looking on while a machine runs: what is watched is watched no more afterwards, whatever happens. */
import type { Machine, Observer } from '../machine/machine.ts';

export interface Watched {
  /** Linear: instructions that begin there. */
  readonly addresses?: Iterable<bigint>;
  /** CALL and RET, too. */
  readonly calls?: boolean;
  /** Page frames of RAM. */
  readonly frames?: Iterable<number>;
  /** WATCH_READ, WATCH_WRITE, or both, of the frames. */
  readonly access?: number;
}

/** Neither guest nor log can see it. `run` runs the machine. */
export function observed(machine: Machine, { addresses, calls = false, frames = [], access = 0 }: Watched, observer: Observer, run: () => void): void {
  const { core } = machine;
  const seesCode = addresses !== undefined || calls;
  if (seesCode) core.observeCode(addresses ?? [], calls);
  for (const frame of frames) core.watchFrame(frame, access);
  machine.observe(observer);
  try {
    run();
  } finally {
    machine.observe(undefined);
    for (const frame of frames) core.watchFrame(frame, 0);
    if (seesCode) core.observeCode([], false);
  }
}
