/** Every SSE encoding there is, in drawn sequences, interpreted and compiled: the same registers, memory, flags and exceptions. What the interpreter does is compared with a real CPU elsewhere (test/conformance/sse). */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import { type Jit, setJitMode } from '../../engine/jit/jit.ts';
import { FLAGS_BASE, DATA, STACK } from '../conformance/layout.ts';
import { EngineRunner, loadCore } from '../conformance/engine-runner.ts';
import { assertProperty } from '../determinism/runs.ts';
import { keepsTheMode } from './lock-step.ts';

keepsTheMode();

interface Draw {
  /** Of the encodings that exist. */
  readonly which: number;
  readonly reg: number;
  readonly rm: number;
  readonly wide: boolean;
  readonly displacement: number;
  readonly imm: number;
}
interface Encoding {
  /** (map << 10) | (prefix << 8) | opcode, as in engine/cpu/assembly/sse-decode.ts. */
  readonly id: number;
  readonly isMem: boolean;
  /** ModRM.reg where it is part of the opcode. */
  readonly digit: number | undefined;
}

const ADDRESS = 0x10000400;
const PREFIXES = [[], [0x66], [0xf3], [0xf2]] as const;
const MAPS = [[], [0x38], [0x3a]] as const;
const INVALID_OPCODE = 6;

const hasImmediate = (id: number): boolean => id >= 0x800 || (id < 0x400 && [0x70, 0x71, 0x72, 0x73, 0xc2, 0xc4, 0xc5, 0xc6].includes(id & 0xff));

/** The memory form is [rdi + displacement]. */
function encode({ id, isMem, digit }: Encoding, { reg, rm, wide, displacement, imm }: Draw): number[] {
  const r = digit ?? reg;
  const rex = 0x40 | (wide ? 8 : 0) | (r >> 3 ? 4 : 0) | (!isMem && rm >> 3 ? 1 : 0);
  const modrm = isMem ? [0x47 | ((r & 7) << 3), displacement & 0xff] : [0xc0 | ((r & 7) << 3) | (rm & 7)];
  return [...PREFIXES[(id >> 8) & 3], ...(rex === 0x40 ? [] : [rex]), 0x0f, ...MAPS[id >> 10], id & 0xff, ...modrm, ...(hasImmediate(id) ? [imm] : [])];
}

/** XMM registers, MXCSR, x87 and MMX state. */
const VECTOR_STATE = [L.FCW, L.XMM + 256] as const;

interface Side {
  readonly runner: EngineRunner;
  readonly initial: Uint8Array;
}
function sideOf(mode: 'off' | 'always'): Side {
  setJitMode(mode);
  const runner = new EngineRunner(loadCore());
  return { runner, initial: runner.core.u8.slice(...VECTOR_STATE) };
}

function run({ runner, initial }: Side, code: readonly number[], vectors: Uint8Array, rdi: number): { readonly text: string; readonly vector: number } {
  runner.core.u8.set(initial, VECTOR_STATE[0]);
  runner.core.u8.set(vectors, L.XMM);
  const registers = BigUint64Array.from({ length: 16 }, (_, i) => BigInt.asUintN(64, 0x9e37_79b9_7f4a_7c15n * BigInt(i + 1)));
  registers[4] = BigInt(STACK.address + 0x1000);
  registers[7] = BigInt(rdi);
  const outcome = runner.run({ mode: 64, name: 'vector', code: Uint8Array.from([...code, 0xcc]), address: ADDRESS, fill: 0, registers, flags: FLAGS_BASE, memory: [] });
  const memory = outcome.memory.map(({ address, bytes }) => `${address.toString(16)}:${Buffer.from(bytes).toString('hex')}`);
  const state = Buffer.from(runner.core.u8.subarray(...VECTOR_STATE)).toString('hex');
  return { vector: outcome.vector, text: [outcome.vector, outcome.error, outcome.cr2, outcome.rip, outcome.flags, ...outcome.registers, ...memory, state].join(' ') };
}

const nothing: Draw = { which: 0, reg: 0, rm: 0, wide: false, displacement: 0, imm: 0 };
const plain = sideOf('off');
const compiled = sideOf('always');

/** What does not raise #UD. */
const encodings: Encoding[] = [];
for (let id = 0; id < 0xc00; id++) {
  const isSse = id >= 0x400 || ((id & 0xff) >= 0x10 && (id & 0xff) < 0x18) || ((id & 0xff) >= 0x28 && (id & 0xff) < 0x30) || ((id & 0xff) >= 0x50 && (id & 0xff) < 0x80) || (id & 0xff) >= 0xc2;
  // Without a prefix these are MMX (MOVNTI and SHUFPS are not); BSWAP; MOVBE and CRC32.
  if (!isSse || (id < 0x100 && (id & 0xff) >= 0x60 && id !== 0xc2 && id !== 0xc6) || ((id & 0xff) >= 0xc7 && (id & 0xff) <= 0xcf) || (id >= 0x4f0 && id < 0x800 && (id & 0xf0) === 0xf0)) continue;
  const digits = id >= 0x171 && id <= 0x173 ? [0, 1, 2, 3, 4, 5, 6, 7] : [undefined];
  for (const digit of digits) {
    for (const isMem of [false, true]) {
      const encoding = { id, isMem, digit };
      if (run(plain, encode(encoding, nothing), new Uint8Array(256), DATA.address + 0x100).vector !== INVALID_OPCODE) encodings.push(encoding);
    }
  }
}

const interesting = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 7, 15, 16, 31, 32, 63, 64, 0x7f, 0x80, 0xff));
const draw: fc.Arbitrary<Draw> = fc.record({
  which: fc.nat(encodings.length - 1), reg: fc.nat(15), rm: fc.nat(15), wide: fc.boolean(),
  displacement: fc.oneof({ weight: 6, arbitrary: fc.nat(7).map((n) => n * 16) }, { weight: 1, arbitrary: fc.nat(127) }), imm: interesting,
});
/** Small lanes are counts of shifts and indices of shuffles. */
const vectors = fc.array(fc.oneof(interesting.map((byte) => [byte, 0, 0, 0, 0, 0, 0, 0]), fc.array(interesting, { minLength: 8, maxLength: 8 })), { minLength: 32, maxLength: 32 }).map((words) => Uint8Array.from(words.flat()));
/** Mostly in the middle of the data; some near its end, where loads go on into a page that cannot be written. */
const bases = fc.oneof({ weight: 6, arbitrary: fc.nat(0x1f).map((n) => DATA.address + 0x800 + n * 16) }, { weight: 1, arbitrary: fc.nat(0x80).map((n) => DATA.address + DATA.size - n) });

test('compiled SSE does what the interpreter does', () => {
  expect(encodings.length).toBeGreaterThan(500);
  assertProperty('test/jit/vector.test.ts', fc.property(fc.array(draw, { minLength: 1, maxLength: 30 }), vectors, bases, (draws, xmm, rdi) => {
    const code = draws.flatMap((each) => encode(encodings[each.which], each));
    const expected = run(plain, code, xmm, rdi);
    const actual = run(compiled, code, xmm, rdi);
    if (actual.text !== expected.text) throw new Error(`${Buffer.from(code).toString('hex')}\n interpreted ${expected.text}\n compiled    ${actual.text}`);
  }), 1500, 20_000);
  const { instructions } = (compiled.runner.core.compiler as Jit).statistics();
  expect(instructions).toBeGreaterThan(0);
});
