/**
 * The side that the guest comes to:
 *
 *     receiving ──► state verified, all of it on disk ──► `ready` ──► READY ──► GO ──► `owner` on disk ──► STARTED, the guest runs
 *         │                                                 │
 *         └──► `discarded` ◄────────── KEPT, or VERDICT ────┘ link lost: in doubt. It waits, and asks nobody to guess
 */
import type { BlockBacking } from '../../engine/devices/virtio-block/virtio-block.ts';
import { Machine } from '../../engine/machine/machine.ts';
import { PAGE_BYTES, pageHashes, restoreDirty } from '../../engine/machine/snapshot.ts';
import { PAGE_ATTR, PAGE_CODE, PAGE_HASH, RAM } from '../../engine/cpu/layout.ts';
import type { Core } from '../../engine/cpu/core.ts';
import type { LogHeader } from '../../engine/log/header.ts';
import { CheckpointError } from '../../engine/recording/checkpoint-errors.ts';
import { PARA_REGIME, RecipeError, type Outputs, decodeRecipe } from '../../engine/recording/recipe.ts';
import type { RecorderStart } from '../../engine/recording/recorder.ts';
import { type Duplex, type Frame, FrameReader, LinkError, Mailbox, frame } from './duplex.ts';
import type { DestinationFiles, DestinationRecord, DestinationState } from './journal.ts';
import { COMPLETE, GO, HELLO, type Hello, KEPT, MISSING, type Missing, type MovedState, PAGES, PROTOCOL_VERSION, READY, REFUSED, STARTED, STATE, VERDICT, type Verdict, WELCOME, decodeMissing, decodeState, encodeFrames, encodeMissing, json, pagesOf, parseJson } from './messages.ts';

export interface DestinationOptions {
  readonly files: DestinationFiles;
  readonly module: WebAssembly.Module;
  /** Identity of the log that the guest goes on in. */
  readonly childId: string;
  readonly outputs?: Outputs;
  /** The base image of the guest's disk: not moved. */
  readonly disk?: BlockBacking | undefined;
}

export type DestinationEnd =
  /** The guest is ours. `start` is for a Recorder; in post-copy, `missing` pages come over the link. */
  | { readonly kind: 'owner'; readonly moved: MovedGuest; readonly link: Duplex; readonly mailbox: Mailbox }
  /** The source keeps it. */
  | { readonly kind: 'discarded'; readonly reason: string }
  /** Complete and verified, and nobody has said whose it is. settle() over the next link. */
  | { readonly kind: 'in-doubt'; readonly reason: string; readonly moved: MovedGuest };

export interface MovedGuest {
  readonly migration: string;
  readonly parent: LogHeader;
  readonly machine: Machine;
  readonly state: MovedState;
  /** Frames that are not here yet, by the hash that their pages have. */
  readonly missing: Map<number, readonly [number, number]>;
}

export function startOf({ parent, state, machine }: MovedGuest): RecorderStart {
  const { records, session } = state.checkpoint;
  return { parent, records, at: { machine, session } };
}

/** The stream is not a guest that this program can run. */
export class ReceiveError extends Error {
  override readonly name = 'ReceiveError';
}

/** Takes the frames of a migration, from the link or from disk. */
class Receiver {
  hello: Hello | undefined;
  machine: Machine | undefined;
  private state: MovedState | undefined;
  private missing: Missing | undefined;
  private readonly options: DestinationOptions;

  constructor(options: DestinationOptions) {
    this.options = options;
  }

  /** Throws ReceiveError, LinkError, CheckpointError. */
  take({ kind, payload }: Frame): void {
    switch (kind) {
      case HELLO:
        this.greet(parseJson<Hello>(payload));
        return;
      case PAGES: {
        const { core } = this.running();
        for (const { frame: at, page } of pagesOf(payload, core.ramBytes / PAGE_BYTES)) core.writePhysical(at * PAGE_BYTES, page ?? ZEROS);
        // Now, not when the guest stands still.
        core.exports.hashDirtyPages();
        core.exports.newEpoch();
        return;
      }
      case STATE:
        this.state = decodeState(payload);
        return;
      case MISSING:
        this.missing = decodeMissing(payload);
        return;
      default:
        throw new LinkError(`a frame of kind ${kind} that has no place in a migration`);
    }
  }

  get isComplete(): boolean {
    return this.state !== undefined && (!this.state.isPostCopy || this.missing !== undefined);
  }

  private running(): Machine {
    if (this.machine === undefined) throw new LinkError('pages before the machine was named');
    return this.machine;
  }

  private greet(hello: Hello): void {
    if (hello.version !== PROTOCOL_VERSION) throw new ReceiveError(`the source speaks version ${hello.version} of the protocol, this side ${PROTOCOL_VERSION}: use the same Chronovisor on both`);
    const { header } = hello;
    let recipe;
    try {
      recipe = decodeRecipe(header);
    } catch (error) {
      if (error instanceof RecipeError) throw new ReceiveError(error.message);
      throw error;
    }
    if (recipe.regime === PARA_REGIME) throw new ReceiveError(`a guest under the regime ${PARA_REGIME} cannot be migrated: its VMM is built from the kernel image, which is not moved`);
    const disk = header.images.find(({ name }) => name === 'disk');
    if (disk !== undefined && this.options.disk?.byteLength !== disk.bytes) throw new ReceiveError(`the guest has a disk of ${disk.bytes} bytes, which is not moved: give the same image with --disk`);
    const { outputs, module } = this.options;
    this.machine = new Machine({
      config: recipe.machine,
      module,
      ...(outputs?.console !== undefined && { console: outputs.console }),
      ...(outputs?.virtioConsole !== undefined && { virtioConsole: outputs.virtioConsole }),
      ...(this.options.disk !== undefined && { disk: this.options.disk }),
    });
    this.hello = hello;
  }

  /** The whole state in the machine, its digest that of the source. Throws ReceiveError. */
  finish(): MovedGuest {
    const machine = this.running();
    const { core } = machine;
    const state = this.state!;
    const missing = this.missing === undefined ? new Map<number, readonly [number, number]>() : hashesOf(this.missing);
    // What an earlier round brought is old.
    this.missing?.frames.forEach((each) => empty(core, each));
    // First without a dirty set, so that the digest takes the hashes as they are.
    const { firstWrites: _, ...stopped } = state.checkpoint.machine;
    machine.restore({ ...stopped, dirtyFrames: new Uint32Array(0) }, { hashes: pageHashes(core), read: (each) => core.readPhysical(each * PAGE_BYTES, PAGE_BYTES) });
    setHashes(core, missing);
    const { digest } = machine.digest();
    if (digest !== state.digest) throw new ReceiveError(`what arrived is not the guest that was sent: digest ${digest}, the source's is ${state.digest}`);
    restoreDirty(core, state.checkpoint.machine);
    return { migration: this.hello!.migration, parent: this.hello!.header, machine, state, missing };
  }
}

/** By frame. Zeros need not come. */
function hashesOf({ frames, hashes }: Missing): Map<number, readonly [number, number]> {
  const missing = new Map<number, readonly [number, number]>();
  frames.forEach((each, i) => {
    if (hashes[i * 2] !== 0 || hashes[i * 2 + 1] !== 0) missing.set(each, [hashes[i * 2], hashes[i * 2 + 1]]);
  });
  return missing;
}
function sumOf(missing: ReadonlyMap<number, readonly [number, number]>): bigint {
  let sum = 0n;
  for (const [low, high] of missing.values()) sum += (BigInt(high) << 32n) | BigInt(low);
  return BigInt.asUintN(64, sum);
}

const PROBE_FRAMES = 16_384;
/** What a page that comes later costs while the guest stands still, if the other side's host is like this one: bytes on the link, and ns of both. Zeros are named, too. */
export function measureMissing(monotonicMs: () => number): { readonly bytes: number; readonly ns: number } {
  const frames = Uint32Array.from({ length: PROBE_FRAMES }, (_, i) => i);
  const hashes = Uint32Array.from({ length: PROBE_FRAMES * 2 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0);
  const timed = (): { readonly bytes: number; readonly ms: number } => {
    const from = monotonicMs();
    const encoded = encodeMissing({ frames, hashes });
    sumOf(hashesOf(decodeMissing(encoded)));
    return { bytes: encoded.length, ms: monotonicMs() - from };
  };
  const { bytes, ms } = [timed(), timed(), timed()].sort((a, b) => a.ms - b.ms)[1];
  return { bytes: bytes / PROBE_FRAMES, ns: (ms * 1e6) / PROBE_FRAMES };
}

const ZEROS = new Uint8Array(PAGE_BYTES);

/** A page whose hash is that of what it holds becomes zeros. */
function empty(core: Core, at: number): void {
  if (core.u64[(PAGE_HASH >>> 3) + at] !== 0n) core.writePhysical(at * PAGE_BYTES, ZEROS);
}

/**
 * Hashes of pages that are not here yet, as if they were: so digests are those of the whole guest from the first instruction on. The core keeps a running sum and renews it by
 * what a page's hash changes; one page of zeros (0) whose slot says -sum adds the sum of them all.
 */
function setHashes(core: Core, missing: ReadonlyMap<number, readonly [number, number]>): void {
  core.exports.hashDirtyPages();
  core.exports.newEpoch();
  const [first] = missing.keys();
  if (first === undefined) return;
  core.u64[(PAGE_HASH >>> 3) + first] = BigInt.asUintN(64, -sumOf(missing));
  restoreDirty(core, { dirtyFrames: Uint32Array.of(first) });
  core.exports.hashDirtyPages();
  core.exports.newEpoch();
  for (const [at, [low, high]] of missing) {
    core.u32[(PAGE_HASH >>> 2) + at * 2] = low;
    core.u32[(PAGE_HASH >>> 2) + at * 2 + 1] = high;
  }
}

/** Pages of post-copy. They are no writes of the guest, so its dirty set is left alone; nothing is cached of them but the begin of one, with an instruction of the page before. */
export function placePages(core: Core, payload: Uint8Array, missing: Map<number, readonly [number, number]> | undefined): readonly number[] {
  const placed: number[] = [];
  for (const { frame: at, page } of pagesOf(payload, core.ramBytes / PAGE_BYTES)) {
    if (missing?.delete(at) === false) continue;
    if ((core.u8[PAGE_ATTR + at] & PAGE_CODE) !== 0) core.exports.codeFlush();
    core.u8.set(page ?? ZEROS, RAM + at * PAGE_BYTES);
    placed.push(at);
  }
  return placed;
}

/** One migration, from HELLO to who owns the guest. Throws StoreError when the disk fails before that. */
export async function receive(link: Duplex, options: DestinationOptions): Promise<DestinationEnd> {
  const { files, childId } = options;
  const mailbox = new Mailbox(link);
  const receiver = new Receiver(options);
  let record: DestinationRecord | undefined;
  const note = (state: DestinationState): void => {
    if (record !== undefined) files.intent.write((record = { ...record, state }));
  };
  const discard = (reason: string): DestinationEnd => {
    note('discarded');
    files.arriving.remove();
    link.close();
    return { kind: 'discarded', reason };
  };
  try {
    while (!receiver.isComplete) {
      const next = await mailbox.take();
      if (next.kind === VERDICT) {
        // Of a migration that this side knows nothing of, or has thrown away: it was not handed over, or it is settled.
        await link.write(frame(REFUSED, json({ reason: 'nothing is known here of that migration' })));
        return discard('asked about another migration');
      }
      if (next.kind === KEPT) return discard(`the source keeps the guest: ${parseJson<{ reason: string }>(next.payload).reason}`);
      const held = next.kind === HELLO ? files.intent.read() : undefined;
      if (held?.state === 'ready' || held?.state === 'owner') {
        // Its record must not be written over.
        await refuse(link, `this side ${held.state === 'owner' ? 'has the guest' : 'is in doubt about the guest'} of the migration ${held.migration}`);
        link.close();
        return { kind: 'discarded', reason: `the migration ${held.migration} is not settled` };
      }
      receiver.take(next);
      if (next.kind === HELLO) {
        record = { migration: receiver.hello!.migration, state: 'receiving', parentId: receiver.hello!.header.id, childId };
        files.intent.write(record);
        files.arriving.append(frame(next.kind, next.payload));
        await link.write(frame(WELCOME, new Uint8Array(0)));
      } else files.arriving.append(frame(next.kind, next.payload));
    }
  } catch (error) {
    if (error instanceof LinkError) return discard(error.message);
    if (!(error instanceof ReceiveError) && !(error instanceof CheckpointError)) throw error;
    await refuse(link, error.message);
    return discard(error.message);
  }
  let moved: MovedGuest;
  try {
    moved = receiver.finish();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    await refuse(link, error.message);
    return discard(error.message);
  }
  files.arriving.sync();
  note('ready');
  try {
    await link.write(frame(READY, json({ digest: moved.state.digest })));
    const answer = await mailbox.take();
    if (answer.kind === KEPT) return discard(`the source keeps the guest: ${parseJson<{ reason: string }>(answer.payload).reason}`);
    if (answer.kind !== GO) throw new LinkError(`a frame of kind ${answer.kind} instead of the decision`);
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    link.close();
    return { kind: 'in-doubt', reason: error.message, moved };
  }
  note('owner');
  // Whether it arrives or not, the guest is here.
  await link.write(frame(STARTED, encodeFrames([...moved.missing.keys()]))).catch(() => undefined);
  if (moved.state.isPostCopy && moved.missing.size === 0) await link.write(frame(COMPLETE, new Uint8Array(0))).catch(() => undefined);
  return { kind: 'owner', moved, link, mailbox };
}

async function refuse(link: Duplex, reason: string): Promise<void> {
  await link.write(frame(REFUSED, json({ reason }))).catch(() => undefined);
}

/** In doubt, and a source has come again: who owns the guest? Rejects with LinkError: still in doubt. */
export async function settle(link: Duplex, moved: MovedGuest, files: DestinationFiles): Promise<DestinationEnd> {
  const mailbox = new Mailbox(link);
  const next = await mailbox.take();
  if (next.kind !== VERDICT) {
    await refuse(link, `this side has the migration ${moved.migration}, or is in doubt about it: no other can come`);
    throw new LinkError(`another migration wanted to come; the one here is ${moved.migration}`);
  }
  const verdict = parseJson<Verdict>(next.payload);
  if (verdict.migration !== moved.migration) {
    await refuse(link, `the migration in doubt here is ${moved.migration}`);
    throw new LinkError(`asked about the migration ${verdict.migration}; the one in doubt is ${moved.migration}`);
  }
  const end = settleWith(verdict.handedOver, moved, files);
  await link.write(frame(STARTED, encodeFrames(verdict.handedOver ? [...moved.missing.keys()] : []))).catch(() => undefined);
  return end === 'owner' ? { kind: 'owner', moved, link, mailbox } : { kind: 'discarded', reason: 'the source kept the guest' };
}

/** The source's verdict, from wherever it is known for certain. */
export function settleWith(handedOver: boolean, moved: MovedGuest, files: DestinationFiles): 'owner' | 'discarded' {
  const record = files.intent.read();
  if (record === undefined || record.migration !== moved.migration) throw new Error('the record of the migration is of another one');
  const state = handedOver ? 'owner' : 'discarded';
  if (record.state === 'owner' && !handedOver) throw new Error(`the source says that it kept the migration ${moved.migration}, which is running here`);
  files.intent.write({ ...record, state });
  if (!handedOver) files.arriving.remove();
  return state;
}

export interface Recovered {
  readonly record: DestinationRecord;
  /** What was received; undefined if nothing complete was. */
  readonly moved: MovedGuest | undefined;
}

/** After a crash: what is on disk. A migration that was not complete is discarded: it was not handed over. Undefined if there was none. Throws ReceiveError, CheckpointError. */
export async function recoverDestination(options: DestinationOptions): Promise<Recovered | undefined> {
  const { files } = options;
  const record = files.intent.read();
  if (record === undefined) return undefined;
  if (record.state === 'receiving') {
    const discarded: DestinationRecord = { ...record, state: 'discarded' };
    files.intent.write(discarded);
    files.arriving.remove();
    return { record: discarded, moved: undefined };
  }
  if (record.state === 'discarded') return { record, moved: undefined };
  const receiver = new Receiver(options);
  const parts = [files.arriving.contents()];
  const reader = new FrameReader(() => Promise.resolve(parts.shift()));
  const late: Frame[] = [];
  try {
    for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
      if (receiver.isComplete) late.push(next);
      else receiver.take(next);
    }
  } catch (error) {
    // Of post-copy's pages the last may be torn: they come again.
    if (!(error instanceof LinkError) || !receiver.isComplete) throw error;
  }
  const moved = receiver.finish();
  for (const each of late) placePages(moved.machine.core, each.payload, moved.missing);
  return { record, moved };
}
