/** A run that moves to another process: the source side of server/migration, in the thread that records it. */
import { type DirtyEpoch, EpochSplitter, type EpochSplitterState } from '../../engine/analysis/dirty/epoch.ts';
import { TruthFold } from '../../engine/analysis/dirty/folds.ts';
import { PAGE_BYTES, type DirtyTruth } from '../../engine/analysis/dirty/truth.ts';
import type { Prediction } from '../../engine/analysis/migration/predict.ts';
import { encodeState } from '../../engine/machine/state-bytes.ts';
import { pageHashes, saveDirty } from '../../engine/machine/snapshot.ts';
import { openLog } from '../../engine/log/open-log.ts';
import type { RunMigration, RunMigrationSettings } from '../../engine/protocol/lab.ts';
import { PARA_REGIME } from '../../engine/recording/recipe.ts';
import type { Recorder } from '../../engine/recording/recorder.ts';
import type { DriveEnd } from '../cli/drive.ts';
import { monotonicMs, turn } from '../cli/host.ts';
import { LinkError } from '../migration/duplex.ts';
import { forecast, leave, measureSpeed, parseTarget } from '../migration/leaving.ts';
import { Guest } from '../migration/pace.ts';
import { FileSource } from '../store/files.ts';

const clock = { monotonicMs, turn };
const NOTICE_MS = 100;
const DOWNTIME_LIMIT_MS = 300;

export class Leaving {
  private readonly recorder: Recorder;
  private readonly log: string;
  private readonly notify: (migration: RunMigration) => void;
  private readonly onTurn: () => void;
  private migration: RunMigration;
  private guest: Guest | undefined;
  private reason: string | undefined;
  private isOver = false;

  constructor(recorder: Recorder, log: string, { id, settings }: { readonly id: string; readonly settings: RunMigrationSettings }, notify: (migration: RunMigration) => void, onTurn: () => void) {
    this.recorder = recorder;
    this.log = log;
    this.notify = notify;
    this.onTurn = onTurn;
    this.migration = { id, state: 'moving', settings };
    // Its VMM is built from the kernel image, which is not moved; the other side says so, too.
    if (recorder.header?.config.regime === PARA_REGIME) this.refuse(`a guest under the regime ${PARA_REGIME} cannot be migrated`);
  }

  get isUnderWay(): boolean {
    return this.guest !== undefined;
  }
  /** Its state was taken. */
  get isSealed(): boolean {
    return this.guest?.isSealed === true;
  }
  /** While it is under way. Throws RangeError. */
  type(bytes: Uint8Array): void {
    this.guest?.type(bytes);
  }
  cancel(reason: string): void {
    this.reason ??= reason;
  }
  refuse(reason: string): void {
    this.isOver = true;
    this.tell({ state: 'kept', reason });
  }

  /** Between two steps of the run, once: takes the guest until it has moved or stays. */
  begin(stopWanted: () => string | undefined): Promise<DriveEnd | undefined> | undefined {
    if (this.isOver) return undefined;
    this.isOver = true;
    return this.move(stopWanted);
  }

  private tell(change: Partial<RunMigration>): void {
    this.migration = { ...this.migration, ...change };
    this.notify(this.migration);
  }

  private async move(stopWanted: () => string | undefined): Promise<DriveEnd | undefined> {
    const { recorder, log, onTurn } = this;
    const { id: migration, settings } = this.migration;
    const { to, policy = 'precopy', bytesPerSecond = Infinity, downtimeLimitMs = DOWNTIME_LIMIT_MS } = settings;
    const target = parseTarget(to);
    if (target === undefined) return this.stay(`${to} is no HOST:PORT`);
    const cancelled = (): string | undefined => this.reason ?? stopWanted();
    const guest = new Guest(recorder, recorder.withdrawInput());
    this.guest = guest;
    try {
      const speed = settings.speed ?? (await measureSpeed(guest, clock, onTurn));
      const prediction = guest.ended === undefined ? this.foresee(speed) : undefined;
      this.tell({ speed, prediction });
      let toldMs = 0;
      const { end, isConfirmed, virtualPerWall } = await leave({
        guest, log, target, to, migration, policy, downtimeLimitMs, bytesPerSecond, speed, clock, onTurn, cancelled,
        ...(settings.timeLimitMs !== undefined && { timeLimitNs: settings.timeLimitMs * 1e6 }),
        say: (reason) => this.tell({ reason }),
        isStopped: () => cancelled() !== undefined,
        onProgress: (progress) => {
          if (monotonicMs() - toldMs < NOTICE_MS) return;
          toldMs = monotonicMs();
          this.tell({ progress });
        },
      }); // prettier-ignore
      const { measured } = end;
      if (end.kind === 'kept') {
        this.tell({ state: 'kept', reason: end.reason, measured, virtualPerWall });
        return this.takeBack(guest);
      }
      this.tell({ state: isConfirmed ? 'moved' : 'unconfirmed', measured, virtualPerWall, digest: end.digest, ...(!isConfirmed && { reason: 'the other side has not confirmed that it runs the guest: `chronovisor migrate --resolve` tells it again' }) });
      return { cause: { kind: 'moved' }, status: endOf(recorder) };
    } catch (error) {
      // Nobody was there: nothing was offered.
      if (!(error instanceof LinkError)) throw error;
      this.tell({ state: 'kept', reason: error.message });
      return this.takeBack(guest);
    }
  }

  private stay(reason: string): undefined {
    this.tell({ state: 'kept', reason });
    return undefined;
  }

  private takeBack(guest: Guest): DriveEnd | undefined {
    this.guest = undefined;
    if (guest.ended !== undefined) return { cause: { kind: 'guest' }, status: guest.ended };
    this.recorder.input(guest.waiting);
    return undefined;
  }

  /** From its log so far: what it did is what it is taken to do on. Its pages are zeros where they are zeros now. */
  private foresee(speed: number): Prediction {
    const { recorder, log } = this;
    const { policy = 'precopy', bytesPerSecond = Infinity, downtimeLimitMs = DOWNTIME_LIMIT_MS } = this.migration.settings;
    recorder.flush();
    const source = new FileSource(log, 'the log');
    try {
      const { reader } = openLog(source);
      const { machine } = recorder;
      const splitter = new EpochSplitter();
      const fold = new TruthFold({ name: log, memoryBytes: machine.core.ramBytes, totals: () => splitter.totals(), deviceStateBytes: machine.cpuBytes().length + encodeState(machine.saveDevices()).length });
      for (let i = 0; i < reader.eventBlocks.length; i++) for (const epoch of splitter.split(reader.batch(i))) fold.fold(epoch);
      const hashes = pageHashes(machine.core);
      fold.fold(this.openEpoch(splitter.save()));
      const isZero = (page: number): boolean => hashes[page * 2] === 0 && hashes[page * 2 + 1] === 0;
      const truth: DirtyTruth = { ...fold.truth(), content: { isZero, deltaBytes: () => PAGE_BYTES + 1, compressedBytes: () => PAGE_BYTES, knowsBytes: false, isExact: false } };
      return forecast(truth, { log, policy, downtimeLimitMs, bytesPerSecond, speed, startNs: machine.nowNs(), machine, clock });
    } finally {
      source.close();
    }
  }

  /** What was written since the log's last dirty set: after a short while, all that the run has done. */
  private openEpoch({ epoch, fromPosition, fromNs }: EpochSplitterState): DirtyEpoch {
    const { machine, position: toPosition } = this.recorder;
    const common = { epoch, fromPosition, fromNs, toPosition, toNs: machine.nowNs() };
    const firstWrites = machine.firstWrites();
    if (firstWrites === undefined) return { ...common, pages: saveDirty(machine.core) };
    const { page, position, timeOffsetNs, isZero } = firstWrites;
    return { ...common, pages: page, detail: { position, atNs: position.map((at, i) => at + timeOffsetNs[i]), isZero } };
  }
}

/** Of a recorder that was stopped. */
function endOf(recorder: Recorder): DriveEnd['status'] {
  const status = recorder.stop('user', 'migrated');
  if (status.kind !== 'ended') throw new Error('the recorder did not stop');
  return status;
}
