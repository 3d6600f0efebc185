/** Memory that somebody asks about: `ADDRESS[,BYTES]` or a symbol, worked out at the cursor. */
import { ExpressionView } from './expression-view.ts';
import { parseExpression } from './expression.ts';
import { type PhysicalRange, physicalRanges } from './inspect.ts';
import type { SymbolTable } from './symbols.ts';
import type { TimeTravel } from './time-travel.ts';

/** Of one question. */
export const RANGE_BYTES_MAX = 65_536;
const BYTES_DEFAULT = 8;

export interface AskedRange {
  readonly address: bigint;
  readonly length: number;
  readonly ranges: readonly PhysicalRange[];
}

/** What is wrong with the question; `kind` for those who have an advice. */
export class AskedRangeError extends Error {
  readonly kind: 'empty' | 'unreadable' | 'length' | 'no-address' | 'beyond' | 'unmapped';

  constructor(kind: AskedRangeError['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** isPhysical: the address is that of memory, not of the guest's address space. Throws AskedRangeError, ExpressionError. */
export function askedRange({ machine, position }: Pick<TimeTravel, 'machine' | 'position'>, symbols: SymbolTable, text: string, isPhysical: boolean): AskedRange {
  const comma = lastComma(text);
  const place = (comma < 0 ? text : text.slice(0, comma)).trim();
  if (place === '') throw new AskedRangeError('empty', 'there is no address');
  const address = parseExpression(place, symbols).value(new ExpressionView(machine));
  if (address === undefined) throw new AskedRangeError('unreadable', `"${place}" reads memory that is not mapped at @${position}`);
  let length = BYTES_DEFAULT;
  if (comma >= 0) {
    const bytes = text.slice(comma + 1).trim();
    length = /^(0x[0-9a-f]{1,8}|\d{1,9})$/i.test(bytes) ? Number(bytes) : NaN;
    if (!(length >= 1 && length <= RANGE_BYTES_MAX)) throw new AskedRangeError('length', `"${text}": after the comma comes a number of bytes from 1 to ${RANGE_BYTES_MAX}`);
  } else if (/^[A-Za-z_.$][\w.$]*(:[A-Za-z_.$][\w.$]*)?$/.test(place) && (symbols.has(place) || place.includes(':'))) {
    const { size } = symbols.find(place);
    if (size > 0) length = Math.min(size, RANGE_BYTES_MAX);
  }
  if (address < 0n || address >= 1n << 64n) throw new AskedRangeError('no-address', `"${place}" is ${address}, which is no address`);
  const { ramBytes } = machine.core;
  if (isPhysical && address + BigInt(length) > BigInt(ramBytes)) throw new AskedRangeError('beyond', `0x${address.toString(16)}: memory ends at 0x${ramBytes.toString(16)}`);
  const ranges = isPhysical ? [{ paddr: Number(address), length }] : physicalRanges(machine, address, length);
  if (ranges.length === 0) throw new AskedRangeError('unmapped', `0x${address.toString(16)} is not mapped to memory at @${position}`);
  return { address, length, ranges };
}

/** Not one inside of brackets. */
function lastComma(text: string): number {
  let depth = 0;
  let last = -1;
  for (let i = 0; i < text.length; i++) {
    if ('(['.includes(text[i])) depth++;
    if (')]'.includes(text[i])) depth--;
    if (text[i] === ',' && depth === 0) last = i;
  }
  return last;
}
