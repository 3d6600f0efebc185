/** One moment as the panels show it. Runs in the worker; looks only. */
import type { SavedState, SavedValue } from '../../engine/devices/device.ts';
import { ExpressionError, parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import type { GuestSymbols, SourceLine } from '../../engine/debug/guest-symbols.ts';
import { readLinear, readPhysical, translate } from '../../engine/debug/inspect.ts';
import { linearRip, listing, listingBefore } from '../../engine/debug/listing.ts';
import { textOf } from '../../engine/debug/disassembler.ts';
import { SymbolError } from '../../engine/debug/symbols.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import type { ListingRow, Look, MemoryRow, Moment, NoView, StateNode } from '../../engine/protocol/moment.ts';
import { readMachineState } from '../machine-state.ts';
import { walkPages } from './page-walk.ts';
import { taskText } from './tasks.ts';

export const ROW_BYTES = 16;
/** Of a panel. */
const ROWS_MAX = 512;
/** Elements of an array, and bytes, that are told of a device. */
const ELEMENTS_MAX = 64;
const BYTES_MAX = 32;

export function momentOf(travel: TimeTravel, symbols: GuestSymbols, look: Look): Moment {
  const { machine } = travel;
  const rip = linearRip(machine);
  return {
    machine: readMachineState(machine),
    rip,
    symbol: symbols.tell(rip),
    source: lineText(symbols.lineOf(rip)),
    task: taskText(machine, symbols),
    isBetween: travel.isBetween,
    listing: look.listing && listingRows(machine, symbols, look.listing),
    memory: look.memory && memoryRows(machine, symbols, look.memory),
    paging: look.paging && evaluated(machine, symbols, look.paging.at, (address) => walkPages(machine, address)),
    devices: look.hasDevices === true ? stateTree(machine.saveDevices()) : undefined,
  };
}

/** `kernel/tty.c:44` */
export function lineText(line: SourceLine | undefined): string | undefined {
  if (line === undefined) return undefined;
  return `${line.file.split('/').slice(-2).join('/')}:${line.line}`;
}

/** The value of an expression as an address, or why there is none. */
function evaluated<T>(machine: Machine, symbols: GuestSymbols, text: string, use: (address: bigint) => T): T | NoView {
  try {
    const value = parseExpression(text, symbols.table).value(new ExpressionView(machine));
    if (value === undefined) return { problem: `"${text}" reads memory that is not mapped here` };
    return use(BigInt.asUintN(64, value));
  } catch (error) {
    if (error instanceof ExpressionError || error instanceof SymbolError) return { problem: error.message.split('\n')[0] };
    throw error;
  }
}

function listingRows(machine: Machine, symbols: GuestSymbols, { at, before, after }: NonNullable<Look['listing']>): readonly ListingRow[] | NoView {
  const rows = (address: bigint): readonly ListingRow[] => {
    const above = Math.min(before, ROWS_MAX);
    const lines = [...(above > 0 ? listingBefore(machine, symbols.table, address, above) : []), ...listing(machine, address, Math.min(after, ROWS_MAX))];
    let last: string | undefined;
    return lines.map((line): ListingRow => {
      const own = symbols.table.at(line.address);
      const source = lineText(symbols.lineOf(line.address));
      const isNew = source !== undefined && source !== last;
      last = source ?? last;
      const target = line.target ?? line.reference;
      return {
        address: line.address,
        bytes: hex(line.bytes),
        text: textOf(line),
        target: target === undefined ? undefined : { address: target, name: symbols.tell(target) },
        label: own?.address === line.address ? own.name : undefined,
        source: isNew ? source : undefined,
      };
    });
  };
  return at === undefined ? rows(linearRip(machine)) : evaluated(machine, symbols, at, rows);
}

function memoryRows(machine: Machine, symbols: GuestSymbols, { at, skip, rows, isPhysical }: NonNullable<Look['memory']>): Moment['memory'] {
  return evaluated(machine, symbols, at, (address) => {
    const width = BigInt(ROW_BYTES);
    const first = (address & ~(width - 1n)) + BigInt(skip) * width;
    const list: MemoryRow[] = [];
    for (let i = 0n; i < BigInt(Math.min(rows, ROWS_MAX)); i++) {
      const row = BigInt.asUintN(64, first + i * width);
      if (isPhysical) {
        const isRam = row + width <= BigInt(machine.core.ramBytes);
        list.push({ address: row, paddr: isRam ? Number(row) : undefined, bytes: isRam ? readPhysical(machine, Number(row), ROW_BYTES) : new Uint8Array(0) });
      } else {
        const bytes = readLinear(machine, row, ROW_BYTES);
        list.push({ address: row, paddr: bytes.length === 0 ? undefined : translate(machine, row), bytes });
      }
    }
    return { at: address, rows: list };
  });
}

/** What a device saves, as a tree. */
export function stateTree(state: SavedState): readonly StateNode[] {
  return Object.entries(state).map(([name, value]) => nodeOf(name, value));
}

function nodeOf(name: string, value: SavedValue): StateNode {
  if (value instanceof Uint8Array) {
    const shown = hex(value.subarray(0, BYTES_MAX)).replace(/(..)(?=.)/g, '$1 ');
    return { name, value: `${value.length} bytes${value.length === 0 ? '' : `: ${shown}${value.length > BYTES_MAX ? ' …' : ''}`}`, children: [] };
  }
  if (Array.isArray(value)) {
    const list = value as readonly SavedValue[];
    const isPlain = list.every((each) => typeof each !== 'object');
    const more = list.length > ELEMENTS_MAX ? ` … ${list.length} in all` : '';
    if (isPlain) return { name, value: `[${list.slice(0, ELEMENTS_MAX).map(plain).join(', ')}${more}]`, children: [] };
    return { name, value: `${list.length} entries`, children: list.slice(0, ELEMENTS_MAX).map((each, i) => nodeOf(String(i), each)) };
  }
  if (typeof value === 'object') return { name, value: undefined, children: stateTree(value as SavedState) };
  return { name, value: plain(value), children: [] };
}

function plain(value: SavedValue): string {
  return typeof value === 'number' && Number.isInteger(value) && value > 9 ? `${value} (0x${value.toString(16)})` : String(value);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
