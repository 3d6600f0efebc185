import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutAndContinue } from '../../devices/testing.ts';
import {
  HyperVParavirt, MSR_APIC_FREQUENCY, MSR_CRASH_CTL, MSR_CRASH_P0, MSR_EOI, MSR_GUEST_OS_ID, MSR_HYPERCALL, MSR_ICR, MSR_REFERENCE_TSC, MSR_RESET, MSR_STIMER0_CONFIG, MSR_STIMER0_COUNT, MSR_TIME_REF_COUNT,
  MSR_TPR, MSR_TSC_FREQUENCY, MSR_VP_ASSIST_PAGE, MSR_VP_INDEX,
} from './hyperv.ts';
import { MEMORY_BYTES, type Operation, ParavirtRig } from './testing.ts';

const PAGE = 0x3000;
const VECTOR = 0xed;
const ENABLE = 1n, PERIODIC = 2n, AUTO = 8n;
const DIRECT = 0x1000n | (BigInt(VECTOR) << 4n);
const build = (hasApic = true): ParavirtRig => new ParavirtRig((options) => new HyperVParavirt(options), hasApic);
const text = (...words: readonly number[]): string => new TextDecoder().decode(new Uint8Array(Uint32Array.from(words).buffer));
const bits = (value: number): number[] => Array.from({ length: 32 }, (_, i) => i).filter((i) => (value >>> i) & 1);

/** As Linux reads the page: include/clocksource/hyperv_timer.h, hv_read_tsc_page_tsc(); 100 ns. */
function pageTime({ memory, time, tscOffset }: ParavirtRig): bigint {
  const view = new DataView(memory.bytes.buffer, PAGE);
  expect(view.getUint32(0, true)).not.toBe(0);
  const tsc = BigInt.asUintN(64, BigInt(time.now()) + tscOffset);
  return BigInt.asUintN(64, ((tsc * view.getBigUint64(8, true)) >> 64n) + view.getBigInt64(16, true));
}

describe('CPUID', () => {
  it('is what Linux looks for', () => {
    const { paravirt } = build();
    const [max, ...vendor] = paravirt.cpuid(0x4000_0000)!;
    expect([max, text(...vendor)]).toEqual([0x4000_0006, 'Microsoft Hv']);
    expect(text(paravirt.cpuid(0x4000_0001)![0])).toBe('Hv#1');
    const [access, flags, , features] = paravirt.cpuid(0x4000_0003)!;
    expect([bits(access), flags, bits(features)]).toEqual([[1, 3, 4, 5, 6, 7, 9, 11], 0, [8, 10, 19]]);
    expect(bits(paravirt.cpuid(0x4000_0004)![0])).toEqual([3, 5]);
    expect(paravirt.cpuid(0x4000_0100)).toBeUndefined();
  });
  it('offers nothing of a local APIC to a machine without', () => {
    const { paravirt } = build(false);
    const [access, , , features] = paravirt.cpuid(0x4000_0003)!;
    expect([bits(access), bits(features), bits(paravirt.cpuid(0x4000_0004)![0])]).toEqual([[1, 5, 6, 7, 9, 11], [8, 10], [5]]);
    for (const index of [MSR_EOI, MSR_ICR, MSR_TPR, MSR_STIMER0_CONFIG]) expect([paravirt.readMsr(index), paravirt.writeMsr(index, 0n)]).toEqual([undefined, false]);
    // Linux writes it all the same.
    expect(paravirt.writeMsr(MSR_VP_ASSIST_PAGE, BigInt(PAGE) | 1n)).toBe(true);
  });
});

describe('hypercalls', () => {
  const NOTIFY_LONG_SPIN_WAIT = 8n;
  it('need an identity, then a page, which then has the instruction', () => {
    const rig = build();
    const { paravirt } = rig;
    expect(paravirt.writeMsr(MSR_HYPERCALL, BigInt(PAGE) | 1n)).toBe(true);
    expect([paravirt.readMsr(MSR_HYPERCALL), rig.call([0n, NOTIFY_LONG_SPIN_WAIT])]).toEqual([0n, undefined]);
    paravirt.writeMsr(MSR_GUEST_OS_ID, 0x8100n << 48n);
    expect(paravirt.writeMsr(MSR_HYPERCALL, BigInt(MEMORY_BYTES) | 1n)).toBe(false);
    expect(paravirt.writeMsr(MSR_HYPERCALL, BigInt(PAGE) | 1n)).toBe(true);
    expect([...rig.memory.bytes.subarray(PAGE, PAGE + 4)]).toEqual([0x0f, 0x01, 0xd9, 0xc3]); // vmmcall; ret
    expect([rig.call([0n, NOTIFY_LONG_SPIN_WAIT]), rig.call([0n, 3n]), rig.call([0n, (1n << 40n) | NOTIFY_LONG_SPIN_WAIT])]).toEqual([0n, 2n, 0n]);
    expect(rig.call([0n, NOTIFY_LONG_SPIN_WAIT], 3)).toBeUndefined();
    paravirt.writeMsr(MSR_GUEST_OS_ID, 0n);
    expect([paravirt.readMsr(MSR_HYPERCALL), rig.call([0n, NOTIFY_LONG_SPIN_WAIT])]).toEqual([BigInt(PAGE), undefined]);
  });
});

describe('reference time', () => {
  it('is the same by MSR and by page, and goes on when the TSC is written', () => {
    const rig = build();
    rig.time.advance(1_234_567);
    expect(rig.paravirt.readMsr(MSR_TIME_REF_COUNT)).toBe(12_345n);
    expect(rig.paravirt.writeMsr(MSR_REFERENCE_TSC, BigInt(PAGE) | 1n)).toBe(true);
    let last = 12_345n;
    for (const [wait, offset] of [[0, undefined], [99, undefined], [1, undefined], [5_000_001, 1n << 62n], [7, undefined], [1_000_000_000, -77n], [1_000_000_000_000, undefined]] as const) {
      rig.time.advance(rig.time.now() + wait);
      if (offset !== undefined) rig.writeTsc(offset);
      const now = pageTime(rig);
      expect(rig.paravirt.readMsr(MSR_TIME_REF_COUNT)).toBe(now);
      expect(Number(now) * 100 - rig.time.now()).toBeLessThanOrEqual(100);
      expect(rig.time.now() - Number(now) * 100).toBeLessThan(300);
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  it('the sequence is 0 while the page changes, and never before or after', () => {
    const rig = build();
    const sequences = (): number[] => rig.memory.writes.filter(({ at }) => at === PAGE).map(({ bytes }) => bytes[0] | (bytes[3] << 24));
    rig.memory.write32(PAGE, 0xffff_fffe);
    rig.memory.writes.length = 0;
    rig.paravirt.writeMsr(MSR_REFERENCE_TSC, BigInt(PAGE) | 1n);
    rig.writeTsc(5n);
    expect(sequences()).toEqual([0, 1, 0, 2]);
    expect(rig.memory.writes.map(({ at }) => at - PAGE)).toEqual([0, 8, 0, 0, 8, 0]);
    rig.paravirt.writeMsr(MSR_REFERENCE_TSC, BigInt(MEMORY_BYTES) | 1n);
    rig.writeTsc(6n);
    expect(rig.memory.writes).toHaveLength(6);
  });

  it('frequencies and indices', () => {
    const { paravirt } = build();
    expect([MSR_TSC_FREQUENCY, MSR_APIC_FREQUENCY, MSR_VP_INDEX].map((index) => paravirt.readMsr(index))).toEqual([1_000_000_000n, 1_000_000_000n, 0n]);
    expect([MSR_TSC_FREQUENCY, MSR_VP_INDEX, MSR_TIME_REF_COUNT].map((index) => paravirt.writeMsr(index, 1n))).toEqual([false, false, false]);
  });
});

describe('synthetic timers', () => {
  const CONFIG = MSR_STIMER0_CONFIG, COUNT = MSR_STIMER0_COUNT;
  const interrupts = (rig: ParavirtRig): unknown[] => rig.outputs.filter((each) => Array.isArray(each) && each[0] === 'interrupt');
  const armed = (config: bigint, count: bigint, timer = 0): ParavirtRig => {
    const rig = build();
    rig.time.advance(1_000_050);
    rig.paravirt.writeMsr(CONFIG + timer * 2, config);
    rig.paravirt.writeMsr(COUNT + timer * 2, count);
    return rig;
  };

  it('one-shot: at the very moment that reference time reaches the count, once', () => {
    const rig = armed(DIRECT | AUTO, 12_000n);
    expect(rig.paravirt.readMsr(CONFIG)).toBe(DIRECT | AUTO | ENABLE);
    rig.time.advance(1_199_999);
    expect(interrupts(rig)).toEqual([]);
    rig.time.advance(1_200_000);
    expect(interrupts(rig)).toEqual([['interrupt', VECTOR]]);
    expect(rig.paravirt.readMsr(CONFIG)).toBe(DIRECT | AUTO);
    rig.time.advance(10_000_000);
    expect(interrupts(rig)).toHaveLength(1);
  });

  it('is of the reference page once there is one', () => {
    const rig = build();
    rig.time.advance(1_000_050);
    rig.writeTsc(33n);
    rig.paravirt.writeMsr(MSR_REFERENCE_TSC, BigInt(PAGE) | 1n);
    rig.paravirt.writeMsr(CONFIG, DIRECT | AUTO);
    rig.paravirt.writeMsr(COUNT, 12_000n);
    const at = rig.time.armedAt('hv-stimer0');
    rig.time.advance(at - 1);
    expect([pageTime(rig), interrupts(rig)]).toEqual([11_999n, []]);
    rig.time.advance(at);
    expect([pageTime(rig), interrupts(rig)]).toEqual([12_000n, [['interrupt', VECTOR]]]);
  });

  it('in the past: at once', () => {
    expect(interrupts(armed(DIRECT | AUTO, 9_999n))).toEqual([['interrupt', VECTOR]]);
    expect(interrupts(armed(DIRECT, 9_999n))).toEqual([]);
  });

  it('periodic: from when it was set, and periods that nobody saw are not made up for', () => {
    const rig = armed(DIRECT | ENABLE | PERIODIC, 500n, 3);
    rig.time.advance(1_000_050 + 170_000);
    expect(interrupts(rig)).toHaveLength(3);
    rig.time.skip(1_000_000);
    rig.time.advance(rig.time.now());
    expect(interrupts(rig)).toHaveLength(4);
    expect((rig.time.armedAt('hv-stimer3') - 1_000_000) % 50_000).toBe(0);
    rig.paravirt.writeMsr(COUNT + 6, 0n);
    expect(rig.time.armedAt('hv-stimer3')).toBe(Infinity);
    expect(rig.paravirt.readMsr(CONFIG + 6)! & ENABLE).toBe(0n);
  });

  it('messages need a SynIC, which is not offered', () => {
    const { paravirt } = build();
    expect(paravirt.writeMsr(CONFIG, ENABLE | (2n << 16n))).toBe(false);
    expect(paravirt.writeMsr(CONFIG, ENABLE | AUTO)).toBe(true);
    expect(paravirt.readMsr(CONFIG)).toBe(AUTO);
    paravirt.writeMsr(COUNT, 1n);
    expect(paravirt.readMsr(CONFIG)).toBe(AUTO);
    for (const index of [0x4000_0080, 0x4000_0083, 0x4000_0090]) expect([paravirt.readMsr(index), paravirt.writeMsr(index, 0n)]).toEqual([undefined, false]);
  });

  it('the end of time and a TSC that jumps do no harm', () => {
    const rig = armed(DIRECT | AUTO, 0xffff_ffff_ffff_ffffn);
    expect(rig.time.armedAt('hv-stimer0')).toBe(Infinity);
    rig.paravirt.writeMsr(MSR_REFERENCE_TSC, BigInt(PAGE) | 1n);
    rig.paravirt.writeMsr(COUNT, 20_000n);
    for (const offset of [-1_000_000n, 1n << 63n, (1n << 64n) - 5n]) {
      rig.writeTsc(offset);
      expect(Math.abs(rig.time.armedAt('hv-stimer0') - 2_000_000)).toBeLessThan(1000);
    }
    rig.time.advance(3_000_000);
    expect(interrupts(rig)).toHaveLength(1);
  });
});

describe('local APIC', () => {
  it('TPR, ICR and EOI by MSR', () => {
    const rig = build();
    const { paravirt } = rig;
    expect([paravirt.writeMsr(MSR_TPR, 0x50n), paravirt.readMsr(MSR_TPR), paravirt.writeMsr(MSR_TPR, 0x100n)]).toEqual([true, 0x50n, false]);
    expect(paravirt.writeMsr(MSR_ICR, (7n << 56n) | 0x4_0061n)).toBe(true); // self
    expect(paravirt.readMsr(MSR_ICR)).toBe((7n << 56n) | 0x4_0061n);
    expect([rig.take(), rig.lapic.inService]).toEqual([0x61, 0x61]);
    expect([paravirt.writeMsr(MSR_EOI, 0n), rig.lapic.inService, paravirt.readMsr(MSR_EOI)]).toEqual([true, -1, undefined]);
  });

  it('the assist page: its first word is cleared, and has the end of interrupts', () => {
    const rig = build();
    rig.memory.write(PAGE, Uint8Array.of(255, 255, 255, 255, 255));
    expect(rig.paravirt.writeMsr(MSR_VP_ASSIST_PAGE, BigInt(MEMORY_BYTES) | 1n)).toBe(false);
    expect(rig.paravirt.writeMsr(MSR_VP_ASSIST_PAGE, BigInt(PAGE) | 1n)).toBe(true);
    expect([...rig.memory.bytes.subarray(PAGE, PAGE + 5)]).toEqual([0, 0, 0, 0, 255]);
    rig.eoiByte = PAGE;
    rig.interrupt(0x41);
    rig.take();
    rig.endOfInterrupt();
    rig.interrupt(0x31);
    expect([rig.take(), rig.eoiWrites]).toEqual([0x31, 0]);
    // An EOI by MSR is one for the APIC.
    rig.paravirt.writeMsr(MSR_EOI, 0n);
    expect([rig.lapic.inService, rig.memory.bytes[PAGE]]).toEqual([-1, 0]);
  });
});

describe('the rest', () => {
  it('a crash is told, a reset done', () => {
    const rig = build();
    expect(rig.paravirt.readMsr(MSR_CRASH_CTL)).toBe(1n << 63n);
    expect([0, 4].map((i) => rig.paravirt.writeMsr(MSR_CRASH_P0 + i, 0xdeadn))).toEqual([true, true]);
    expect([rig.paravirt.readMsr(MSR_CRASH_P0 + 4), rig.paravirt.writeMsr(MSR_CRASH_CTL, 1n << 63n), rig.paravirt.writeMsr(MSR_CRASH_P0 + 6, 0n)]).toEqual([0xdeadn, true, false]);
    rig.paravirt.writeMsr(MSR_RESET, 0n);
    expect(rig.outputs).toEqual([]);
    rig.paravirt.writeMsr(MSR_RESET, 1n);
    expect(rig.outputs).toEqual(['reset']);
  });
});

describe('property', () => {
  const indices = [MSR_GUEST_OS_ID, MSR_HYPERCALL, MSR_REFERENCE_TSC, MSR_TIME_REF_COUNT, MSR_EOI, MSR_ICR, MSR_TPR, MSR_VP_ASSIST_PAGE, MSR_CRASH_P0, ...Array.from({ length: 8 }, (_, i) => MSR_STIMER0_CONFIG + i)];
  const value = fc.oneof(
    fc.tuple(fc.nat(MEMORY_BYTES / 4096), fc.nat(3)).map(([page, low]) => BigInt(page * 4096 + low)),
    fc.tuple(fc.integer({ min: 0x20, max: 0xff }), fc.nat(15)).map(([vector, low]) => 0x1000n | BigInt((vector << 4) | low)),
    fc.nat(20_000).map(BigInt),
  );
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    fc.record({ kind: fc.constant('wrmsr' as const), index: fc.constantFrom(...indices), value }),
    fc.record({ kind: fc.constant('rdmsr' as const), index: fc.constantFrom(...indices) }),
    fc.record({ kind: fc.constant('wait' as const), ns: fc.nat(300_000) }),
    fc.record({ kind: fc.constant('interrupt' as const), vector: fc.integer({ min: 0x20, max: 0xff }), level: fc.boolean() }),
    fc.constant({ kind: 'take' } as const),
    fc.constant({ kind: 'eoi' } as const),
    fc.record({ kind: fc.constant('call' as const), registers: fc.nat(12).map((code) => [0n, BigInt(code)]) }),
    fc.record({ kind: fc.constant('tsc' as const), offset: fc.bigInt({ min: -(2n ** 40n), max: 2n ** 63n }) }),
  );
  it('save and restore go unnoticed', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), fc.array(operation, { maxLength: 30 }), fc.boolean(), (before, after, hasApic) => {
        const { atCut, original, restored } = cutAndContinue(() => build(hasApic), before, after);
        expect(atCut[1]).toEqual(atCut[0]);
        expect(restored).toEqual(original);
      }),
      { numRuns: 60 },
    );
  });
});
