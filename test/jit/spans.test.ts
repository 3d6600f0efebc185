/**
 * Accesses at constant distances, the flags that are kept around them, and jumps through pointers: drawn sequences with operands around the ends of pages, interpreted and compiled.
 * Registers, flags, memory and exceptions are the same.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import { type Jit, type JitMode, setJitMode } from '../../engine/jit/jit.ts';
import { FLAGS_BASE, CONSTANTS, DATA, STACK, UNMAPPED } from '../conformance/layout.ts';
import { EngineRunner, loadCore } from '../conformance/engine-runner.ts';
import { assertProperty } from '../determinism/runs.ts';
import { keepsTheMode } from './lock-step.ts';

keepsTheMode();

const ADDRESS = 0x10000400;
const RSP = 4;
/** Counts how often the sequence has run; no instruction of it touches this register. */
const R15 = 15;

const le32 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
const rex = (wide: boolean, reg: number, index: number, base: number): number => 0x40 | (wide ? 8 : 0) | (reg >> 3 ? 4 : 0) | (index >> 3 ? 2 : 0) | (base >> 3 ? 1 : 0);
/** A ModRM byte and what follows it, for [base + distance], or [base + index * 2^shift + distance]. */
function memory(reg: number, base: number, distance: number, index?: number, shift = 0): number[] {
  const sib = index !== undefined || (base & 7) === RSP;
  return [0x80 | ((reg & 7) << 3) | (sib ? 4 : base & 7), ...(sib ? [(shift << 6) | ((index === undefined ? 4 : index & 7) << 3) | (base & 7)] : []), ...le32(distance)];
}
const registers2 = (reg: number, rm: number): number => 0xc0 | ((reg & 7) << 3) | (rm & 7);

/** Mostly one that is no base, or nearly all sequences would end at the first access to nowhere. */
const any = fc.oneof({ weight: 30, arbitrary: fc.constantFrom(0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14) }, { weight: 1, arbitrary: fc.nat(14) });
/** Half of all accesses are through one register. */
const base = fc.oneof({ weight: 30, arbitrary: fc.constant(7) }, { weight: 30, arbitrary: fc.constantFrom(RSP, 5, 6) }, { weight: 1, arbitrary: any });
const indexed = fc.constantFrom(0, 1);
const distance = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: -4, max: 12 }).map((n) => n * 8) }, { weight: 1, arbitrary: fc.integer({ min: -300, max: 300 }) });
const small = fc.constantFrom(0, 1, 8, 16, -8, -1, 0x7f, 0x100);

/** Instructions, as bytes. */
const oneOf = (...arbitraries: readonly fc.Arbitrary<number[]>[]): fc.Arbitrary<number[]> => fc.oneof(...arbitraries);
const tuple = fc.tuple;
const access = oneOf(
  // MOV, 64 and 32 bits, both ways.
  tuple(fc.constantFrom(0x8b, 0x89), any, base, distance, fc.boolean()).map(([op, r, b, d, wide]) => [rex(wide, r, 0, b), op, ...memory(r, b, d)]),
  // With an index.
  tuple(fc.constantFrom(0x8b, 0x89, 0x03), any, base, indexed, fc.nat(3), distance).map(([op, r, b, x, s, d]) => [rex(true, r, x, b), op, ...memory(r, b, d, x, s)]),
  // Bytes and words, extended and stored.
  tuple(fc.constantFrom(0xb6, 0xb7, 0xbe, 0xbf), any, base, distance).map(([op, r, b, d]) => [rex(true, r, 0, b), 0x0f, op, ...memory(r, b, d)]),
  tuple(any, base, distance).map(([r, b, d]) => [rex(false, r, 0, b), 0x88, ...memory(r, b, d)]),
  // ADD ADC SBB CMP XOR TEST from and to memory.
  tuple(fc.constantFrom(0x03, 0x13, 0x1b, 0x3b, 0x33, 0x01, 0x11, 0x19, 0x39, 0x31, 0x85), any, base, distance, fc.boolean()).map(([op, r, b, d, wide]) => [rex(wide, r, 0, b), op, ...memory(r, b, d)]),
  // INC DEC NOT NEG
  tuple(fc.constantFrom([0xff, 0], [0xff, 1], [0xf7, 2], [0xf7, 3]), base, distance, fc.boolean()).map(([[op, digit], b, d, wide]) => [rex(wide, 0, 0, b), op, ...memory(digit, b, d)]),
  // IMUL, CMOVB, XADD, CMPXCHG, MOVUPS
  tuple(fc.constantFrom(0xaf, 0x42, 0xc1, 0xb1), any, base, distance).map(([op, r, b, d]) => [rex(true, r, 0, b), 0x0f, op, ...memory(r, b, d)]),
  tuple(fc.constantFrom(0x10, 0x11), any, base, distance).map(([op, r, b, d]) => [rex(false, r, 0, b), 0x0f, op, ...memory(r, b, d)]),
);
const stack = oneOf(
  tuple(any).map(([r]) => [rex(false, 0, 0, r), 0x50 | (r & 7)]),
  tuple(any).map(([r]) => [rex(false, 0, 0, r), 0x58 | (r & 7)]),
  tuple(base, distance).map(([b, d]) => [rex(false, 0, 0, b), 0xff, ...memory(6, b, d)]),
  fc.constant([0x6a, 0x11]),
);
const distances = oneOf(
  // LEA, MOV, ADD, SUB, INC, DEC
  tuple(any, base, small).map(([r, b, d]) => [rex(true, r, 0, b), 0x8d, ...memory(r, b, d)]),
  tuple(any, any).map(([r, b]) => [rex(true, r, 0, b), 0x89, registers2(r, b)]),
  tuple(fc.constantFrom(0, 5), base, small).map(([digit, b, d]) => [rex(true, 0, 0, b), 0x81, registers2(digit, b), ...le32(d)]),
  tuple(fc.nat(1), base).map(([digit, b]) => [rex(true, 0, 0, b), 0xff, registers2(digit, b)]),
);
const flags = oneOf(
  // ADC, SBB, CMP, ADD between registers; INC, DEC; BT; ROL, ROR by 1 and 3; SHL, SHR; SETcc; SHL by CL
  tuple(fc.constantFrom(0x11, 0x19, 0x39, 0x01, 0x85), any, any, fc.boolean()).map(([op, r, b, wide]) => [rex(wide, r, 0, b), op, registers2(r, b)]),
  tuple(fc.nat(1), any, fc.boolean()).map(([digit, b, wide]) => [rex(wide, 0, 0, b), 0xff, registers2(digit, b)]),
  tuple(any, any).map(([r, b]) => [rex(true, r, 0, b), 0x0f, 0xa3, registers2(r, b)]),
  tuple(fc.constantFrom(0, 1, 4, 5, 7), any, fc.constantFrom(1, 3)).map(([digit, b, n]) => [rex(true, 0, 0, b), 0xc1, registers2(digit, b), n]),
  tuple(fc.nat(15), any).map(([cc, b]) => [rex(false, 0, 0, b), 0x0f, 0x90 | cc, registers2(0, b)]),
  tuple(fc.constantFrom(4, 5, 7), any).map(([digit, b]) => [rex(true, 0, 0, b), 0xd3, registers2(digit, b)]),
);
/** What ends a block, around an instruction that is run or not. */
const branch = oneOf(
  tuple(fc.nat(15), access).map(([cc, skipped]) => [0x70 | cc, skipped.length, ...skipped]),
  // TEST R15B, every second or third time the other way.
  tuple(fc.constantFrom(1, 2, 3), fc.constantFrom(0x74, 0x75), access, access).map(([mask, jump, one, two]) => [0x41, 0xf6, registers2(0, R15), mask, jump, one.length + two.length, ...one, ...two]),
  // JMP [rip] and CALL [rip] to what follows the pointer. The pointer is a multiple of 8: `placed` puts it right.
  tuple(fc.constantFrom(0x25, 0x15)).map(([modrm]) => [-1, modrm]),
  // CALL to the next instruction.
  fc.constant([0xe8, 0, 0, 0, 0]),
);
const instruction = fc.oneof({ weight: 10, arbitrary: access }, { weight: 4, arbitrary: stack }, { weight: 4, arbitrary: distances }, { weight: 5, arbitrary: flags }, { weight: 3, arbitrary: branch });

/** The sequence, which runs so often. */
function program(draws: readonly number[][], times: number): number[] {
  const code = [0x41, 0xbf, ...le32(times)];
  const start = code.length;
  for (const bytes of draws) {
    if (bytes[0] !== -1) code.push(...bytes);
    else {
      const pad = -(ADDRESS + code.length + 6) & 7;
      code.push(0xff, bytes[1], ...le32(pad));
      for (let i = 0; i < pad; i++) code.push(0xcc);
      const target = ADDRESS + code.length + 8;
      code.push(...le32(target), 0, 0, 0, 0);
    }
  }
  // DEC R15; JNZ start
  code.push(rex(true, 0, 0, R15), 0xff, registers2(1, R15));
  code.push(0x0f, 0x85, ...le32(start - (code.length + 6)), 0xcc);
  return code;
}

/** Near the ends of pages: within the data, before what cannot be written, before and behind what is not mapped. */
const edges = [DATA.address, DATA.address + 0x800, DATA.address + 0x1000, DATA.address + 0x2000, CONSTANTS.address, CONSTANTS.address + CONSTANTS.size, STACK.address, STACK.address + 0x1000, STACK.address + STACK.size, UNMAPPED];
const address = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0x40, max: 0x27f }).map((n) => DATA.address + n * 16) }, { weight: 2, arbitrary: tuple(fc.nat(edges.length - 1), fc.oneof({ weight: 3, arbitrary: fc.integer({ min: -16, max: 16 }).map((n) => n * 8) }, { weight: 1, arbitrary: fc.integer({ min: -200, max: 200 }) })).map(([i, d]) => edges[i] + d) });

function run(runner: EngineRunner, code: readonly number[], bases: readonly number[]): string {
  const registers = BigUint64Array.from({ length: 16 }, (_, i) => (i < 8 ? BigInt(8 * i) : BigInt.asUintN(64, 0x9e37_79b9_7f4a_7c15n * BigInt(i))));
  [RSP, 5, 6, 7].forEach((r, i) => (registers[r] = BigInt(bases[i])));
  runner.core.u8.fill(0x5a, L.XMM, L.XMM + 256);
  const outcome = runner.run({ mode: 64, name: 'spans', code: Uint8Array.from(code), address: ADDRESS, fill: 0, registers, flags: FLAGS_BASE, memory: [] });
  const changed = outcome.memory.map(({ address: at, bytes }) => `${at.toString(16)}:${Buffer.from(bytes).toString('hex')}`);
  return [outcome.vector, outcome.error, outcome.cr2, outcome.rip, outcome.flags, ...outcome.registers, runner.retired, ...changed, Buffer.from(runner.core.u8.subarray(L.XMM, L.XMM + 256)).toString('hex')].join(' ');
}
function runnerOf(mode: JitMode): EngineRunner {
  setJitMode(mode);
  return new EngineRunner(loadCore());
}

test('accesses that share a look-up do what each by itself does', () => {
  const [plain, always, eager] = (['off', 'always', 'eager'] as const).map(runnerOf);
  assertProperty('test/jit/spans.test.ts', fc.property(fc.array(instruction, { minLength: 1, maxLength: 24 }), fc.array(address, { minLength: 4, maxLength: 4 }), fc.boolean(), (draws, bases, isAlways) => {
    const code = program(draws, isAlways ? 3 : 80);
    const expected = run(plain, code, bases);
    const actual = run(isAlways ? always : eager, code, bases);
    if (actual !== expected) throw new Error(`${Buffer.from(code).toString('hex')} ${bases.map((each) => each.toString(16)).join(' ')}\n interpreted ${expected}\n compiled    ${actual}`);
  }), 3000, 30_000);
  const compiled = [always, eager].map(({ core }) => (core.compiler as Jit).statistics().instructions);
  console.log(`${compiled.join(' and ')} instructions in compiled code`);
  expect(Math.min(...compiled)).toBeGreaterThan(0);
});
