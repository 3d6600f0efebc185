/**
 * The state of a checkpoint as bytes and back; README.md has the byte tables. Byte arrays of exactly one page inside the state of a device
 * (a disk's overlay) are not written but handed to the pool of pages, and the bytes hold their number.
 */
import type { SavedState, SavedValue } from '../devices/device.ts';
import type { Position } from '../log/position.ts';
import { CPU_BYTES, type MachineState, PAGE_BYTES, positionOfCpu } from '../machine/snapshot.ts';
import { ByteIn, ByteOut } from './checkpoint-bytes.ts';
import { CheckpointError } from './checkpoint-errors.ts';
import type { CheckpointState } from './checkpoint.ts';

const text = new TextEncoder();
const fromText = new TextDecoder();

const NUMBER = 1, FALSE = 2, TRUE = 3, STRING = 4, BYTES = 5, LIST = 6, OBJECT = 7, PAGE = 8, INTEGER = 9; // prettier-ignore

export interface EncodedState {
  readonly bytes: Uint8Array;
  /** Pages that the bytes refer to: the n-th reference is to the n-th of these. */
  readonly pages: readonly Uint8Array[];
}

export function encodeCheckpoint({ position, records, session, machine }: CheckpointState): EncodedState {
  const out = new ByteOut();
  const pages: Uint8Array[] = [];
  out.varint(position);
  out.varint(records);
  // 0 stands for never: an epoch or a digest at position 0 there is not.
  out.varint(session.nextEpoch === Infinity ? 0 : session.nextEpoch);
  out.varint(session.nextDigest === Infinity ? 0 : session.nextDigest);
  out.varint(session.epoch);
  out.block(machine.cpu);
  out.ascending(machine.dirtyFrames);
  out.ascending(machine.tableFrames);
  out.raw(machine.tableLevels);
  out.u8(machine.ended === undefined ? 0 : 1);
  if (machine.ended !== undefined) {
    out.block(text.encode(machine.ended.reason));
    out.block(text.encode(machine.ended.detail));
  }
  put(out, machine.devices, pages);
  // Parallel to the dirty frames; only where the log has first writes.
  if (machine.firstWrites !== undefined) {
    const place = new Map(Array.from(machine.firstWrites.page, (frame, i) => [frame, i]));
    for (const frame of machine.dirtyFrames) {
      out.varint(machine.firstWrites.position[place.get(frame)!]);
      out.varint(machine.firstWrites.timeOffsetNs[place.get(frame)!]);
    }
  }
  return { bytes: out.taken(), pages };
}

/** The inverse; `page` gives the n-th page referred to. Throws CheckpointError. */
export function decodeCheckpoint(bytes: Uint8Array, page: (n: number) => Uint8Array): CheckpointState {
  const from = new ByteIn(bytes);
  const position = from.varint();
  const records = from.varint();
  const nextEpoch = from.varint() || Infinity;
  const nextDigest = from.varint() || Infinity;
  const epoch = from.varint();
  const cpu = from.block().slice();
  const dirtyFrames = from.ascending();
  const tableFrames = from.ascending();
  const tableLevels = from.raw(tableFrames.length).slice();
  const ended = from.u8() === 0 ? undefined : { reason: fromText.decode(from.block()), detail: fromText.decode(from.block()) };
  let pages = 0;
  const devices = take(from, () => page(pages++));
  const hasFirstWrites = from.at < bytes.length;
  const firstWrites = { page: dirtyFrames, position: new Float64Array(dirtyFrames.length), timeOffsetNs: new Float64Array(dirtyFrames.length) };
  for (let i = 0; hasFirstWrites && i < dirtyFrames.length; i++) {
    firstWrites.position[i] = from.varint();
    firstWrites.timeOffsetNs[i] = from.varint();
  }
  if (from.at !== bytes.length || typeof devices !== 'object' || devices instanceof Uint8Array || Array.isArray(devices)) throw new CheckpointError('damaged', 'a state is not as it was written');
  const machine: MachineState = { cpu, devices: devices as SavedState, dirtyFrames, ...(hasFirstWrites && { firstWrites }), tableFrames, tableLevels, ended };
  if (cpu.length !== CPU_BYTES) throw new CheckpointError('version', `a CPU state of ${cpu.length} bytes; this version has ${CPU_BYTES}`);
  if (positionOfCpu(cpu) !== position) throw new CheckpointError('damaged', `the state of @${position} is of @${positionOfCpu(cpu)}`);
  return { position: position as Position, records, session: { nextEpoch, nextDigest, epoch }, machine };
}

function put(out: ByteOut, value: SavedValue, pages: Uint8Array[]): void {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)) {
      out.u8(INTEGER);
      out.varint(value);
    } else {
      out.u8(NUMBER);
      out.f64(value);
    }
  } else if (typeof value === 'boolean') out.u8(value ? TRUE : FALSE);
  else if (typeof value === 'string') {
    out.u8(STRING);
    out.block(text.encode(value));
  } else if (value instanceof Uint8Array) {
    if (value.length === PAGE_BYTES) {
      out.u8(PAGE);
      pages.push(value);
    } else {
      out.u8(BYTES);
      out.block(value);
    }
  } else if (Array.isArray(value)) {
    out.u8(LIST);
    out.varint(value.length);
    for (const item of value as readonly SavedValue[]) put(out, item, pages);
  } else {
    const fields = Object.keys(value);
    out.u8(OBJECT);
    out.varint(fields.length);
    for (const field of fields) {
      out.block(text.encode(field));
      put(out, (value as SavedState)[field], pages);
    }
  }
}

function take(from: ByteIn, page: () => Uint8Array): SavedValue {
  const tag = from.u8();
  switch (tag) {
    case NUMBER:
      return from.f64();
    case INTEGER:
      return from.varint();
    case FALSE:
    case TRUE:
      return tag === TRUE;
    case STRING:
      return fromText.decode(from.block());
    case BYTES:
      return from.block().slice();
    case PAGE:
      return page();
    case LIST: {
      const list: SavedValue[] = [];
      for (let left = from.varint(); left > 0; left--) list.push(take(from, page));
      return list;
    }
    case OBJECT: {
      const state: Record<string, SavedValue> = {};
      for (let left = from.varint(); left > 0; left--) {
        const field = fromText.decode(from.block());
        state[field] = take(from, page);
      }
      return state;
    }
    default:
      throw new CheckpointError('damaged', `an unknown kind of value, ${tag}`);
  }
}
