/** The source side as a whole, for the command line and for runs of the server: how fast the guest may run, what is to be expected, the migration, and seeing it through when the link broke after the decision. */
import type { DirtyTruth } from '../../engine/analysis/dirty/truth.ts';
import { FirstWriteProbe } from '../../engine/analysis/dirty/first-writes.ts';
import { type Prediction, predict } from '../../engine/analysis/migration/predict.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import { changedFrames, pageHashes } from '../../engine/machine/snapshot.ts';
import { measureMissing } from './destination.ts';
import { LinkError, connectTo } from './duplex.ts';
import { type SourceRecord, measureJournal, sourceFiles } from './journal.ts';
import { PAGE_RECORD_BYTES } from './messages.ts';
import { CoupledPace, type Guest, type HostClock, type Pace, RealPace } from './pace.ts';
import { type LivePolicy, Pager, type SourceEnd, type SourceOptions, migrate } from './source.ts';
import { tellVerdict } from './verdict.ts';

export const CONNECT_MS = 10_000;
/** The destination verifies and syncs in this time, or the guest stays. */
export const ANSWER_MS = 30_000;
const RETRY_MS = 1000;
const RETRIES = 30;

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** HOST:PORT, an IPv6 address in brackets; undefined: it is no such place. */
export function parseTarget(text: string): Place | undefined {
  const match = /^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_.-]{1,253}):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[2]) > 65_535) return undefined;
  return { host: match[1].replace(/^\[(.*)\]$/, '$1'), port: Number(match[2]) };
}

// ---- before ----

/** Wall ms in which the guest's speed is measured, and what share of that it gets while it is migrated: the rest is the sender's, and the host's. */
const CALIBRATION_MS = 200;
const CALIBRATION_INSTRUCTIONS = 100_000;
const SPEED_SHARE = 0.5;

/** Virtual ns a wall ns, with its writes watched as they will be. The guest goes on meanwhile. */
export async function measureSpeed(guest: Guest, clock: HostClock, onTurn: () => void): Promise<number> {
  const probe = new FirstWriteProbe(guest.recorder.machine);
  probe.attach();
  const fromNs = guest.nowNs;
  const fromMs = clock.monotonicMs();
  while (clock.monotonicMs() - fromMs < CALIBRATION_MS && guest.ended === undefined) {
    if (!guest.slice(CALIBRATION_INSTRUCTIONS)) break;
    onTurn();
    await clock.turn();
  }
  const speed = (SPEED_SHARE * (guest.nowNs - fromNs)) / ((clock.monotonicMs() - fromMs) * 1e6);
  probe.detach();
  return speed > 0 ? Number(Math.min(1, speed).toPrecision(3)) : 1;
}

/** One a side. */
const RECORDS_OF_SETUP = 2;
/** The log, what has arrived, `ready`, `handed-over`, `owner`: the other side's disk is taken to be like this one. */
const SYNCS_OF_SWITCHOVER = 5;

export interface ForecastOptions {
  /** Of the source: its disk is tried. */
  readonly log: string;
  readonly policy: LivePolicy;
  readonly downtimeLimitMs: number;
  readonly bytesPerSecond: number;
  readonly speed: number;
  /** The guest's clock when it begins to move, virtual ns. */
  readonly startNs: number;
  /** Post-copy: page tables and the dirty set of the log's running epoch go with the state. */
  readonly machine: Machine;
  readonly latencyNs?: number | undefined;
  readonly switchoverNs?: number | undefined;
  readonly samples?: number | undefined;
  readonly clock: HostClock;
}

/** What the migration should take, from what is known of the guest before it moves. */
export function forecast(truth: DirtyTruth, { log, policy, downtimeLimitMs, bytesPerSecond, speed, startNs, machine, latencyNs, switchoverNs, samples, clock }: ForecastOptions): Prediction {
  const isPostCopy = policy !== 'precopy';
  const later = isPostCopy ? measureMissing(clock.monotonicMs) : undefined;
  const state = isPostCopy ? machine.save() : undefined;
  const restoreFromMs = clock.monotonicMs();
  // The other side compares all of its pages with what they should be.
  if (isPostCopy) changedFrames(machine.core, pageHashes(machine.core));
  const restoreNs = isPostCopy ? (clock.monotonicMs() - restoreFromMs) * 1e6 : 0;
  const eagerBytes = state === undefined ? 0 : (state.tableFrames.length + state.dirtyFrames.length) * PAGE_RECORD_BYTES;
  const { createMs, replaceMs } = measureJournal(log, clock.monotonicMs);
  return predict(
    { ...truth, deviceStateBytes: (truth.deviceStateBytes ?? 0) + eagerBytes },
    policy === 'postcopy' ? { kind: 'post-copy', name: policy } : { kind: 'qemu', name: policy, release: '7.2', downtimeLimitMs, maxBandwidth: 0, ...(policy === 'hybrid' && { postCopyAfterSync: 2 }) },
    // As good as none.
    { bytesPerSecond: Math.min(bytesPerSecond, 1e12), latencyNs: latencyNs ?? 100_000 },
    {
      startNs: Math.min(Math.max(startNs, truth.beginNs), truth.endNs), virtualPerWall: speed, setupNs: RECORDS_OF_SETUP * createMs * 1e6,
      switchoverNs: switchoverNs ?? SYNCS_OF_SWITCHOVER * replaceMs * 1e6 + restoreNs,
      ...(later !== undefined && { laterBytesPerPage: later.bytes, laterCostNsPerPage: later.ns }),
    },
    { samples: samples ?? 20 },
  ); // prettier-ignore
}

// ---- the move ----

export interface LeaveOptions extends Pick<SourceOptions, 'guest' | 'policy' | 'downtimeLimitMs' | 'bytesPerSecond' | 'timeLimitNs' | 'cancelled' | 'onProgress'> {
  /** Of the guest; what was decided is kept beside it. */
  readonly log: string;
  readonly target: Place;
  /** The same for people. */
  readonly to: string;
  /** Identity of this migration; never used again. */
  readonly migration: string;
  readonly speed: number;
  readonly clock: HostClock;
  /** Between slices of the guest. */
  readonly onTurn: () => void;
  readonly say: (text: string) => void;
  /** Nobody waits any more for the other side to confirm. */
  readonly isStopped: () => boolean;
}

export interface Left {
  readonly end: SourceEnd;
  /** The other side has said that it runs the guest. */
  readonly isConfirmed: boolean;
  /** How the guest's clock went beside the wall's until it was stopped. */
  readonly virtualPerWall: number;
}

/** Rejects with LinkError if nobody is there: then nothing was offered. */
export async function leave(options: LeaveOptions): Promise<Left> {
  const { guest, log, target, to, migration, speed, clock, onTurn, bytesPerSecond, policy, downtimeLimitMs, timeLimitNs, cancelled, onProgress } = options;
  const files = sourceFiles(log);
  const link = await connectTo(target.host, target.port, CONNECT_MS);
  const fromNs = guest.nowNs;
  const pace = bytesPerSecond === Infinity ? new RealPace(clock, speed, onTurn) : new CoupledPace(clock, speed, onTurn);
  const end = await migrate({
    guest, link, pace, files, migration, to, policy, downtimeLimitMs, bytesPerSecond, answerMs: ANSWER_MS, ...(timeLimitNs !== undefined && { timeLimitNs }),
    ...(cancelled !== undefined && { cancelled }), ...(onProgress !== undefined && { onProgress }),
  }); // prettier-ignore
  const { measured } = end;
  const wallNs = (measured.stoppedAtMs ?? measured.totalTimeMs) * 1e6;
  const virtualPerWall = ((measured.virtualNs.stop ?? guest.nowNs) - fromNs) / Math.max(1, wallNs);
  const isConfirmed = end.kind !== 'kept' && ((end.kind === 'moved' && end.isConfirmed) || (await seeThrough(end, files.verdict.read()!, pace, options)));
  return { end, isConfirmed, virtualPerWall };
}

/** Handed over, and the link is gone: tells the destination again, and sends what it still needs. True when it has confirmed. */
async function seeThrough(end: Exclude<SourceEnd, { kind: 'kept' }>, record: SourceRecord, pace: Pace, { target, bytesPerSecond, say, isStopped }: LeaveOptions): Promise<boolean> {
  for (let i = 0; i < RETRIES && !isStopped(); i++) {
    try {
      const link = await connectTo(target.host, target.port, CONNECT_MS);
      const { missing, mailbox } = await tellVerdict(link, record, ANSWER_MS);
      if (missing.length > 0) {
        if (end.kind !== 'paging') throw new LinkError('the destination wants pages of a guest that moved by pre-copy');
        await new Pager(end.pager.core, Uint32Array.from(missing)).serve(link, mailbox, pace, bytesPerSecond);
      }
      link.close();
      return true;
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      if (i === 0) say(`${error.message}; the guest is the destination's, trying again`);
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
  return false;
}
