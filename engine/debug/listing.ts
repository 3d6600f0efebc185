/** Code in a machine's memory as instructions, forward and backward. Changes nothing. */
import type { Machine } from '../machine/machine.ts';
import { BAD, type CodeBits, INSTRUCTION_BYTES_MAX, type Instruction, disassemble } from './disassembler.ts';
import { readLinear, readRegister } from './inspect.ts';
import type { SymbolTable } from './symbols.ts';

export interface ListedInstruction extends Instruction {
  /** Empty: nothing is mapped there. */
  readonly bytes: Uint8Array;
}

const EFER_LMA = 0x400n;
const CR0_PE = 1n;
/** Attributes of CS as VMX has them (SDM vol. 3, 25.4.1): L and D. */
const CS_LONG = 0x2000n;
const CS_BIG = 0x4000n;
/** A function is read from its beginning if that is at most so far back. */
const FUNCTION_BYTES_MAX = 1 << 16;

/** How the code at the machine's rip is read. */
export function codeBits(machine: Machine): CodeBits {
  const attributes = readRegister(machine, 'cs.attr') ?? 0n;
  if (((readRegister(machine, 'efer') ?? 0n) & EFER_LMA) !== 0n && (attributes & CS_LONG) !== 0n) return 64;
  return ((readRegister(machine, 'cr0') ?? 0n) & CR0_PE) !== 0n && (attributes & CS_BIG) !== 0n ? 32 : 16;
}

/** Linear address of the next instruction: CS has a base outside of 64-bit code. */
export function linearRip(machine: Machine): bigint {
  const rip = readRegister(machine, 'rip') ?? 0n;
  return codeBits(machine) === 64 ? rip : BigInt.asUintN(32, rip + (readRegister(machine, 'cs.base') ?? 0n));
}

export function instructionAt(machine: Machine, address: bigint, bits: CodeBits = codeBits(machine)): ListedInstruction {
  const bytes = readLinear(machine, address, INSTRUCTION_BYTES_MAX);
  const instruction = disassemble(bytes, address, bits);
  return { ...instruction, bytes: bytes.subarray(0, instruction.length) };
}

/** `count` instructions from an address on. What cannot be decoded is `(bad)`, one byte each. */
export function listing(machine: Machine, address: bigint, count: number, bits: CodeBits = codeBits(machine)): readonly ListedInstruction[] {
  const lines: ListedInstruction[] = [];
  for (let at = address; lines.length < count; at = BigInt.asUintN(64, at + BigInt(lines[lines.length - 1].length))) lines.push(instructionAt(machine, at, bits));
  return lines;
}

/**
 * The `count` instructions that end where `address` begins. Code cannot be read backward: a function is read from its beginning, other bytes from the
 * nearest place before from which the instructions come out there.
 */
export function listingBefore(machine: Machine, symbols: SymbolTable, address: bigint, count: number, bits: CodeBits = codeBits(machine)): readonly ListedInstruction[] {
  let lines: ListedInstruction[] = [];
  for (let end = address; lines.length < count; end = lines[0].address) {
    const before = stretchBefore(machine, symbols, end, count - lines.length, bits);
    lines = [...before, ...lines];
    if (end === 0n) break;
  }
  return lines.slice(Math.max(0, lines.length - count));
}

/** At least one line, the last one of which ends at `end`. */
function stretchBefore(machine: Machine, symbols: SymbolTable, end: bigint, count: number, bits: CodeBits): readonly ListedInstruction[] {
  const start = symbols.at(end - 1n)?.address;
  if (start !== undefined && start < end && end - start <= BigInt(FUNCTION_BYTES_MAX)) {
    const lines = between(machine, start, end, bits);
    if (lines !== undefined) return lines;
  }
  // The farther back it begins, the surer it is: instruction streams come together after a few.
  const farthest = BigInt((count + 8) * INSTRUCTION_BYTES_MAX);
  for (let at = end > farthest ? end - farthest : 0n; at < end; at++) {
    const lines = between(machine, at, end, bits);
    if (lines !== undefined && lines.every(({ mnemonic }) => mnemonic !== BAD)) return lines;
  }
  return [{ ...disassemble(new Uint8Array(0), BigInt.asUintN(64, end - 1n), bits), bytes: readLinear(machine, BigInt.asUintN(64, end - 1n), 1) }];
}

/** Undefined if no instruction begins at `end`. */
function between(machine: Machine, start: bigint, end: bigint, bits: CodeBits): ListedInstruction[] | undefined {
  const code = readLinear(machine, start, Number(end - start) + INSTRUCTION_BYTES_MAX);
  if (BigInt(code.length) < end - start) return undefined;
  const lines: ListedInstruction[] = [];
  let at = start;
  while (at < end) {
    const offset = Number(at - start);
    const instruction = disassemble(code.subarray(offset, offset + INSTRUCTION_BYTES_MAX), at, bits);
    lines.push({ ...instruction, bytes: code.slice(offset, offset + instruction.length) });
    at += BigInt(instruction.length);
  }
  return at === end ? lines : undefined;
}
