/** What was learnt in earlier runs, true or not, changes nothing that a log has; and its bytes are not trusted. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import { type JitMode, type JitStatistics, setJitMode } from '../../engine/jit/jit.ts';
import { type BlockKind, CodeProfile, KINDS, PROFILE_BYTES_MAX } from '../../engine/jit/profile.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import { type ReplayStatus, Replayer } from '../../engine/recording/replayer.ts';
import { countingCoreFile, loadCore } from '../../server/store/core-module.ts';
import { FileSource } from '../../server/store/files.ts';
import { openImages } from '../../server/store/guest-images.ts';
import { openLog } from '../../engine/log/open-log.ts';
import type { Case } from '../determinism/cases.ts';
import { assertProperty, core, firstDifference, record } from '../determinism/runs.ts';
import { EngineRunner } from '../conformance/engine-runner.ts';
import { hotCases, keepsTheMode } from './lock-step.ts';

keepsTheMode();

const BLOCKS_MAX = (PROFILE_BYTES_MAX - 24) / 8;
const LOWEST_KEY = 1n << BigInt(L.PROFILE_BITS);
/** A key that codeKey() could give. */
const keyOf = (bits: bigint): bigint => (BigInt.asUintN(64, bits) & ~(LOWEST_KEY - 1n)) | LOWEST_KEY;
/** Keys without a pattern. */
const strange = (n: number): bigint => keyOf((BigInt(n) + 1n) * 0x9e3779b97f4a7c15n);
function profileOf(keys: readonly bigint[], kindOf: (i: number) => BlockKind = (i) => KINDS[i % 3]): CodeProfile {
  const profile = new CodeProfile();
  keys.forEach((key, i) => profile.learn(key, kindOf(i)));
  return profile;
}
function decoded(bytes: Uint8Array): CodeProfile {
  const result = CodeProfile.decode(bytes);
  if (result.kind === 'refused') throw new Error(result.reason);
  return result.profile;
}
const again = (profile: CodeProfile): CodeProfile => decoded(profile.encode()).older();
const reasonOf = (bytes: Uint8Array): string => {
  const result = CodeProfile.decode(bytes);
  return result.kind === 'refused' ? result.reason : 'it is a profile';
};

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const HOSTILE: Readonly<Record<string, () => CodeProfile>> = {
  nothing: () => new CodeProfile(),
  'a full table': () => profileOf(numbers(BLOCKS_MAX).map(strange)),
  'all keys at one slot': () => profileOf(numbers(3000).map((i) => keyOf((0xffffn << 48n) | (BigInt(i) << 8n)))),
  'all bits': () => profileOf([keyOf(~0n), keyOf(0n)]),
};

function recordIn(mode: JitMode, one: Case, profile?: CodeProfile): { readonly bytes: Uint8Array; readonly end: string; readonly jit: JitStatistics | undefined } {
  core();
  setJitMode(mode, undefined, profile);
  let machine: Machine | undefined;
  const { bytes, end } = record(one, one.drive, (recorder) => (machine = recorder.machine));
  return { bytes, end: end.digest, jit: machine!.jit?.statistics() };
}

test('the log of a drawn guest is the same with what it taught itself, with what another taught, and with what nobody did', () => {
  let begunHot = 0;
  const foreign = new CodeProfile();
  const modes = fc.constantFrom<JitMode>('eager', 'eager', 'eager', 'always', 'on');
  const property = fc.property(hotCases(40_000), modes, fc.constantFrom(...Object.keys(HOSTILE)), (one, mode, kind) => {
    const plain = recordIn('off', one);
    const own = new CodeProfile();
    const same = (what: string, profile: CodeProfile): JitStatistics => {
      const { bytes, jit, end } = recordIn(mode, one, profile);
      const at = firstDifference(plain.bytes, bytes);
      if (at !== undefined) throw new Error(`${mode}, ${what}: the logs differ at byte ${at} of ${plain.bytes.length}; ends ${plain.end} and ${end}`);
      return jit!;
    };
    same('learning', own);
    begunHot += same('what it learnt', again(own)).begunHot;
    same('of other guests', again(foreign));
    foreign.merge(own);
    const hostile = HOSTILE[kind]();
    // What it needs is in a full table, too.
    hostile.merge(own);
    same(kind, hostile);
  });
  assertProperty('test/jit/profile.test.ts', property, 25, 10_000);
  expect(begunHot).toBeGreaterThan(0);
});

const TRACE = 'traces/lab-kernel.cvlog';
/** Replays a recording to its end. */
function replayed(file: string, profile: CodeProfile | undefined, module = loadCore(), look?: (machine: Machine) => void): { readonly status: ReplayStatus; readonly jit: JitStatistics } {
  setJitMode('on', undefined, profile);
  const source = new FileSource(file, 'FILE');
  try {
    const { reader } = openLog(source);
    const replayer = new Replayer({ reader, images: openImages(reader, {}), module });
    const status = replayer.run();
    look?.(replayer.machine);
    return { status, jit: replayer.machine.jit!.statistics() };
  } finally {
    source.close();
  }
}

test('the second run of a guest compiles at once what the first one found, and is the same', () => {
  const profile = new CodeProfile();
  const first = replayed(TRACE, profile);
  expect(profile.hasLearnt).toBe(true);
  expect(first.jit).toMatchObject({ known: 0, begunHot: 0 });
  const kept = profile.encode();
  expect(kept.length).toBe(24 + profile.size * 8);
  const second = replayed(TRACE, decoded(kept).older());
  expect(second.jit.known).toBe(profile.size);
  expect(second.jit.begunHot).toBeGreaterThan(profile.size / 2);
  expect(second.jit.instructions).toBeGreaterThan(first.jit.instructions);
  expect(first.status).toMatchObject({ kind: 'identical', complete: true });
  expect(second.status).toEqual(first.status);
  // A machine of the same process is told what those before it learnt.
  expect(replayed(TRACE, profile).jit.known).toBe(profile.size);
  expect(replayed(TRACE, undefined).jit).toMatchObject({ known: undefined, begunHot: 0 });
});

test.each(['core.wasm', 'core-counting.wasm'])('nothing else in %s has the place of the table', (build) => {
  const module = loadCore(build === 'core.wasm' ? undefined : countingCoreFile());
  const learnt = new CodeProfile();
  replayed(TRACE, learnt);
  // As many as it takes, those that are needed first.
  const full = profileOf(numbers(BLOCKS_MAX).map(strange)).older();
  full.merge(learnt);
  const given = full.encode();
  let known = 0;
  const { status, jit } = replayed(TRACE, decoded(given), module, ({ core: { u8, u64 }, core }) => {
    const table = (): BigUint64Array => u64.slice(L.PROFILE >>> 3, (L.PROFILE >>> 3) + L.PROFILE_SLOTS);
    const after = table();
    u8.fill(0, L.PROFILE, L.PROFILE + L.PROFILE_SLOTS * 8);
    known = decoded(given).tell(core, { soon: 1, late: 1, member: 1 });
    const before = table();
    expect(before.filter((entry) => entry !== 0n).length).toBe(known);
    // How often a block may begin hot has become less, if anything.
    const low = LOWEST_KEY - 1n;
    const changed = [...after.keys()].filter((i) => after[i] !== before[i]);
    expect(changed.filter((i) => (after[i] & ~low) !== (before[i] & ~low) || (after[i] & low) > (before[i] & low))).toEqual([]);
    expect(changed.length).toBeGreaterThan(learnt.size / 2);
  });
  expect(status.kind).toBe('identical');
  expect(jit.known).toBe(known);
  expect(known).toBeGreaterThan(BLOCKS_MAX * 0.99);
  expect(jit.begunHot).toBeGreaterThan(0);
});

/** Runs code at 0x10000400 to its INT3, with a compiler that is eager. */
function runEagerly(profile: CodeProfile, code: Uint8Array): EngineRunner {
  // Loading the core chooses what the environment asks for.
  const module = core();
  setJitMode('eager', undefined, profile);
  const runner = new EngineRunner(module);
  expect(runner.run({ mode: 64, name: 'loops', code, address: 0x10000400, fill: 0, registers: new BigUint64Array(16), flags: 0x202, memory: [] }).vector).toBe(3);
  return runner;
}
const kindsOf = (profile: CodeProfile): (BlockKind | undefined)[] => [...new BigUint64Array(profile.encode().slice(24).buffer)].map((entry) => profile.kindOf(entry & ~(LOWEST_KEY - 1n)));

test('what is hot long after it was decoded has to run more the next time', () => {
  // A: dec ebx; jnz A runs 5 times, then B: dec ecx; jnz B 5,000 times, then A 200 times.
  const code = Uint8Array.of(0xbb, 5, 0, 0, 0, 0xff, 0xcb, 0x75, 0xfc, 0x85, 0xed, 0x75, 0x12, 0xb9, 0x88, 0x13, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xff, 0xc5, 0xbb, 200, 0, 0, 0, 0xeb, 0xe6, 0xcc);
  const first = new CodeProfile();
  runEagerly(first, code);
  expect(kindsOf(first)).toEqual(['soon', 'late']);
  const second = again(first);
  const { core: { u32 } } = runEagerly(second, code); // prettier-ignore
  expect(u32[L.PROFILE_BEGUN >>> 2]).toBe(2);
  expect([0, L.PROFILE_SOON, L.PROFILE_LATE, L.PROFILE_MEMBER].map((kind) => u32[(L.PROFILE_HEATS >>> 2) + kind])).toEqual([2, 10, 6, 4]);
  // Hot after less runs, it is late all the same.
  expect(kindsOf(second)).toEqual(['soon', 'late']);
});

test('a region that became part of a larger one is not to be made first again', () => {
  // mov ebx, 100; C: mov ecx, 20; jmp A; A: dec ecx; jz B; nop; jmp A; B: dec ebx; jnz C. A is hot first, and then the NOP, around which a region has both. B and C are hot when four regions do not wait yet, so they make theirs.
  const code = Uint8Array.of(0xbb, 100, 0, 0, 0, 0xb9, 20, 0, 0, 0, 0xeb, 0, 0xff, 0xc9, 0x74, 3, 0x90, 0xeb, 0xf9, 0xff, 0xcb, 0x75, 0xee, 0xcc);
  const profile = new CodeProfile();
  runEagerly(profile, code);
  expect(kindsOf(profile)).toEqual(['soon', 'soon', 'soon', 'member']);
});

// ---- its bytes ----

test('bytes that are no profile are refused with the reason', () => {
  const bytes = profileOf(numbers(10).map(strange)).encode();
  expect(reasonOf(bytes)).toBe('it is a profile');
  expect(reasonOf(new Uint8Array(0))).toBe('it is no profile');
  for (let length = 0; length < bytes.length; length++) expect(reasonOf(bytes.subarray(0, length))).toMatch(length < 24 ? /no profile/ : /not the size/);
  expect(reasonOf(Uint8Array.of(...bytes, 0))).toMatch(/not the size of 10 blocks/);
  const later = bytes.slice();
  later[8] = 2;
  expect(reasonOf(later)).toMatch(/version is 2/);
  for (let at = 24; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at] ^= 0x10;
    expect(reasonOf(flipped)).toMatch(/checksum/);
  }
  // Those that no compiler made, with a checksum that is right: no key, and no kind.
  expect(reasonOf(profileOf([1n << 20n]).encode())).toMatch(/0x100001 is no block/);
  expect(reasonOf(profileOf([strange(1), strange(2)], () => '' as BlockKind).encode())).toMatch(/is no block/);
  // At any place in a buffer.
  const placed = new Uint8Array(bytes.length + 3);
  placed.set(bytes, 3);
  expect(reasonOf(placed.subarray(3))).toBe('it is a profile');
});

test('any bytes are read or refused', () => {
  const start = profileOf([]).encode();
  assertProperty('test/jit/profile.test.ts', fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 24 }), (bytes, kept) => {
    expect(['profile', 'refused']).toContain(CodeProfile.decode(Uint8Array.of(...start.subarray(0, kept), ...bytes)).kind);
  }), 2000, 10_000);
});

test('a profile is what it was when it was kept, and a run older', () => {
  const keys = numbers(20).map(strange);
  const profile = profileOf(keys);
  expect(decoded(profile.encode()).encode()).toEqual(profile.encode());
  expect(decoded(profile.encode()).hasLearnt).toBe(false);
  let old = profile;
  for (let i = 0; i < 40; i++) old = again(old);
  expect(old.size).toBe(20);
  // What is compiled again is young again.
  old.learn(keys[7], 'late');
  const first = (): bigint => new DataView(old.encode().buffer).getBigUint64(24, true);
  expect(first()).toBe(keys[7] | BigInt(L.PROFILE_LATE));
  // In one run what is found first does not matter.
  old.learn(keys[7], 'soon');
  old.learn(keys[7], 'member');
  expect(first()).toBe(keys[7] | BigInt(L.PROFILE_SOON));
  // Its region became part of a larger one, and then it was hot again.
  old.demote(keys[7]);
  expect(old.kindOf(keys[7])).toBe('member');
  old.learn(keys[7], 'late');
  expect(old.kindOf(keys[7])).toBe('late');
});

test('two runs at once lose nothing, and when there is too much the oldest goes first', () => {
  const one = profileOf([strange(1), strange(2)], () => 'member');
  const two = profileOf([strange(2), strange(3)], () => 'late');
  one.merge(two);
  expect(one.size).toBe(3);
  // A seed for either is one.
  expect(one.kindOf(strange(2))).toBe('late');

  let all = again(profileOf(numbers(1000).map(strange)));
  all.merge(profileOf(numbers(BLOCKS_MAX - 400).map((i) => strange(1000 + i))));
  expect(all.size).toBe(BLOCKS_MAX + 600);
  const bytes = all.encode();
  expect(bytes.length).toBe(PROFILE_BYTES_MAX);
  all = decoded(bytes);
  expect(all.size).toBe(BLOCKS_MAX);
  // 400 of the old ones are left, seeds rather than others.
  const old = [...new BigUint64Array(bytes.slice(24).buffer)].slice(-400);
  expect(old.every((entry) => (entry & (LOWEST_KEY - 1n)) >> BigInt(L.PROFILE_LEFT) === 1n)).toBe(true);
  expect(old.filter((entry) => (entry & 3n) === BigInt(L.PROFILE_MEMBER)).length).toBe(0);
  expect(old.filter((entry) => (entry & 3n) === BigInt(L.PROFILE_SOON)).length).toBe(334);
  // While it learns it is bounded, too.
  for (const i of numbers(3 * BLOCKS_MAX)) all.learn(strange(100_000 + i), 'member');
  expect(all.size).toBeLessThanOrEqual(2 * BLOCKS_MAX);
});
