import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutAndContinue } from '../../devices/testing.ts';
import {
  HC_CLOCK_PAIRING, HC_KICK_CPU, HC_SEND_IPI, HC_VAPIC_POLL_IRQ, KVM_FEATURES, KVM_SIGNATURE, KvmParavirt, MSR_POLL_CONTROL, MSR_PV_EOI_EN, MSR_STEAL_TIME, MSR_SYSTEM_TIME_NEW, MSR_WALL_CLOCK_NEW,
} from './kvm.ts';
import { APIC_ID, APIC_SVR } from './paravirt.ts';
import { MEMORY_BYTES, type Operation, ParavirtRig, WALL_CLOCK_NS } from './testing.ts';

const PAGE = 0x3000;
const build = (hasApic = true): ParavirtRig => new ParavirtRig((options) => new KvmParavirt(options), hasApic);
const error = (number: number): bigint => BigInt.asUintN(64, -BigInt(number));

/** As Linux reads it: arch/x86/include/asm/pvclock.h, __pvclock_read_cycles(). */
function clockNs({ memory, time, tscOffset }: ParavirtRig, at = PAGE): bigint {
  const view = new DataView(memory.bytes.buffer, at);
  expect(view.getUint32(0, true) & 1).toBe(0);
  const tsc = BigInt.asUintN(64, BigInt(time.now()) + tscOffset);
  const delta = BigInt.asUintN(64, tsc - view.getBigUint64(8, true));
  return view.getBigUint64(16, true) + (((delta << BigInt(view.getInt8(28))) * BigInt(view.getUint32(24, true))) >> 32n);
}

describe('CPUID', () => {
  it('has the signature, and the features that its machine can keep', () => {
    const { paravirt } = build();
    const [max, ...name] = paravirt.cpuid(KVM_SIGNATURE)!;
    expect(max).toBe(KVM_FEATURES);
    expect(new TextDecoder().decode(new Uint8Array(Uint32Array.from(name).buffer))).toBe('KVMKVMKVM\0\0\0');
    const bits = (value: number): number[] => Array.from({ length: 32 }, (_, i) => i).filter((i) => (value >>> i) & 1);
    expect(bits(paravirt.cpuid(KVM_FEATURES)![0])).toEqual([1, 3, 5, 6, 7, 11, 12, 24]);
    expect(bits(build(false).paravirt.cpuid(KVM_FEATURES)![0])).toEqual([1, 3, 5, 12, 24]);
    expect(paravirt.cpuid(0x4000_0002)).toEqual([0, 0, 0, 0]);
    expect([paravirt.cpuid(1), paravirt.cpuid(0x4000_0100), paravirt.cpuid(0x8000_0000)]).toEqual([undefined, undefined, undefined]);
  });
});

describe('clock', () => {
  it('gives virtual time, exactly, however late it is read', () => {
    const rig = build();
    rig.time.advance(12_345);
    expect(rig.paravirt.writeMsr(MSR_SYSTEM_TIME_NEW, BigInt(PAGE) | 1n)).toBe(true);
    for (const ns of [12_345, 12_346, 1_000_000_007, 86_400_000_000_000]) {
      rig.time.advance(ns);
      expect(clockNs(rig)).toBe(BigInt(ns));
    }
    expect(rig.memory.bytes[PAGE + 29]).toBe(1); // PVCLOCK_TSC_STABLE_BIT
    expect(rig.paravirt.readMsr(MSR_SYSTEM_TIME_NEW)).toBe(BigInt(PAGE) | 1n);
  });

  it('is written anew when the guest writes its TSC', () => {
    const rig = build();
    rig.paravirt.writeMsr(MSR_SYSTEM_TIME_NEW, BigInt(PAGE) | 1n);
    rig.time.advance(5_000_000);
    const version = rig.memory.read32(PAGE);
    for (const offset of [-4_000_000n, 1n << 63n, 0n]) {
      rig.writeTsc(offset);
      expect(clockNs(rig)).toBe(BigInt(rig.time.now()));
      rig.time.advance(rig.time.now() + 777);
      expect(clockNs(rig)).toBe(BigInt(rig.time.now()));
    }
    expect(rig.memory.read32(PAGE)).toBe(version + 6);
  });

  it('keeps the version odd while the page changes, whatever was there', () => {
    for (const before of [0, 1, 2, 0xffff_ffff]) {
      const rig = build();
      rig.memory.write32(PAGE, before);
      rig.memory.writes.length = 0;
      rig.paravirt.writeMsr(MSR_SYSTEM_TIME_NEW, BigInt(PAGE) | 1n);
      const versions = rig.memory.writes.filter(({ at }) => at === PAGE).map(({ bytes }) => bytes[0] & 1);
      expect(versions).toEqual([1, 0]);
      expect(rig.memory.writes.map(({ at }) => at)).toEqual([PAGE, PAGE + 4, PAGE]);
      expect(rig.memory.read32(PAGE)).not.toBe(before);
    }
  });

  it('leaves memory alone when it is off, and where there is none', () => {
    const rig = build();
    for (const value of [BigInt(PAGE), BigInt(MEMORY_BYTES) | 1n, BigInt(MEMORY_BYTES - 28) | 1n, 0xffff_ffff_ffff_ffffn]) {
      expect(rig.paravirt.writeMsr(MSR_SYSTEM_TIME_NEW, value)).toBe(true);
      expect(rig.paravirt.readMsr(MSR_SYSTEM_TIME_NEW)).toBe(value);
    }
    rig.writeTsc(99n);
    expect(rig.memory.writes).toEqual([]);
  });

  it('tells the wall clock at power-on, whenever it is asked', () => {
    const rig = build();
    rig.time.advance(3_000_000_000);
    rig.paravirt.writeMsr(MSR_WALL_CLOCK_NEW, BigInt(PAGE));
    expect(BigInt(rig.memory.read32(PAGE + 4)) * 1_000_000_000n + BigInt(rig.memory.read32(PAGE + 8))).toBe(WALL_CLOCK_NS);
    expect(rig.memory.read32(PAGE)).toBe(2);
    expect(rig.memory.writes[0].bytes[0]).toBe(1);
  });
});

describe('the other MSRs', () => {
  it('steal time: nothing was stolen, and the vCPU is not preempted', () => {
    const rig = build();
    rig.memory.bytes[PAGE + 16] = 1;
    expect(rig.paravirt.writeMsr(MSR_STEAL_TIME, BigInt(PAGE) | 3n)).toBe(false);
    expect(rig.paravirt.readMsr(MSR_STEAL_TIME)).toBe(0n);
    expect(rig.paravirt.writeMsr(MSR_STEAL_TIME, BigInt(PAGE) | 1n)).toBe(true);
    expect([rig.memory.read64(PAGE), rig.memory.read32(PAGE + 8), rig.memory.bytes[PAGE + 16]]).toEqual([0, 2, 0]);
  });

  it('poll control is on at first, and has one bit', () => {
    const { paravirt } = build();
    expect(paravirt.readMsr(MSR_POLL_CONTROL)).toBe(1n);
    expect([0n, 2n, 1n << 32n].map((value) => paravirt.writeMsr(MSR_POLL_CONTROL, value))).toEqual([true, false, false]);
    expect(paravirt.readMsr(MSR_POLL_CONTROL)).toBe(0n);
    paravirt.reset();
    expect(paravirt.readMsr(MSR_POLL_CONTROL)).toBe(1n);
  });

  it('PV EOI needs an aligned address in memory, and a local APIC', () => {
    const { paravirt } = build();
    expect([3n, BigInt(MEMORY_BYTES) | 1n].map((value) => paravirt.writeMsr(MSR_PV_EOI_EN, value))).toEqual([false, false]);
    expect(paravirt.writeMsr(MSR_PV_EOI_EN, BigInt(PAGE) | 1n)).toBe(true);
    expect(build(false).paravirt.writeMsr(MSR_PV_EOI_EN, BigInt(PAGE) | 1n)).toBe(false);
    expect(build(false).paravirt.readMsr(MSR_PV_EOI_EN)).toBeUndefined();
  });

  it('what is not offered is not there: the legacy clock, asynchronous page faults', () => {
    const { paravirt } = build();
    for (const index of [0x4b56_4d02, 0x4b56_4d06, 0x4b56_4d07, 0x4b56_4d08]) {
      expect([paravirt.ownsMsr(index), paravirt.readMsr(index), paravirt.writeMsr(index, 0n)]).toEqual([true, undefined, false]);
    }
    expect([0x11, 0x12, 0x10, 0x6e0].map((index) => paravirt.ownsMsr(index))).toEqual([false, false, false, false]);
  });
});

describe('hypercalls', () => {
  const call = (rig: ParavirtRig, number: bigint, rbx = 0n, rcx = 0n, rdx = 0n, rsi = 0n): bigint | undefined => rig.call([number, rcx, rdx, rbx, 0n, 0n, rsi]);

  it('answers as KVM does', () => {
    const rig = build();
    expect(call(rig, HC_VAPIC_POLL_IRQ)).toBe(0n);
    expect(call(rig, HC_KICK_CPU, 0n, 0n)).toBe(0n);
    expect(call(rig, HC_CLOCK_PAIRING, BigInt(PAGE))).toBe(error(95));
    expect([2n, 11n, 12n, 999n].map((number) => call(rig, number))).toEqual([error(1000), error(1000), error(1000), error(1000)]);
    expect(call(build(false), HC_KICK_CPU)).toBe(error(1000));
    expect(rig.call([HC_VAPIC_POLL_IRQ], 3)).toBe(error(1));
    // 32-bit callers: upper halves do not count, and the result is 32 bits.
    expect(rig.call([HC_VAPIC_POLL_IRQ | (1n << 40n)], 0, false)).toBe(0n);
    expect(rig.call([999n], 0, false)).toBe(error(1000) & 0xffff_ffffn);
  });

  it('sends an interrupt to the vCPU of the set', () => {
    const rig = build();
    const send = (low: bigint, high: bigint, first: bigint, icr: bigint): bigint | undefined => call(rig, HC_SEND_IPI, low, high, first, icr);
    expect(send(1n, 0n, 0n, 0x4051n)).toBe(1n);
    expect(rig.take()).toBe(0x51);
    rig.endOfInterrupt();
    // Not in the set, above it, below it.
    expect([send(0xfffe_ffff_ffff_fffen, ~0n & 0xffff_ffff_ffff_ffffn, 0n, 0x51n), send(1n, 0n, 1n, 0x51n), send(0n, 0n, 0n, 0x51n)]).toEqual([0n, 0n, 0n]);
    expect(rig.take()).toBeUndefined();
    // Of APIC 70: the second word; of 3: the first, shifted.
    rig.lapic.writeMmio(APIC_ID, 4, 70 << 24);
    expect(send(0n, 1n << 6n, 0n, 0x52n)).toBe(1n);
    expect(send(1n << 2n, 0n, 68n, 0x53n)).toBe(1n);
    expect(rig.call([HC_SEND_IPI, 1n << 5n, 33n, 0n, 0n, 0n, 0x54n], 0, false)).toBe(1n);
    expect([rig.take(), rig.lapic.inService]).toEqual([0x54, 0x54]);
    // Logical destinations and shorthands have no place here; an NMI this machine cannot take.
    expect([send(1n, 0n, 70n, 0x851n), send(1n, 0n, 70n, 0x4_0051n), send(1n, 0n, 70n, 0x400n)]).toEqual([error(22), error(22), 0n]);
    rig.lapic.writeMmio(APIC_SVR, 4, 0xff);
    expect(send(1n, 0n, 70n, 0x51n)).toBe(0n);
  });
});

describe('property', () => {
  const address = fc.nat(MEMORY_BYTES / 64).map((n) => BigInt(n * 64));
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    fc.record({ kind: fc.constant('wrmsr' as const), index: fc.integer({ min: MSR_WALL_CLOCK_NEW, max: MSR_POLL_CONTROL + 1 }), value: fc.tuple(address, fc.nat(3)).map(([at, low]) => at | BigInt(low)) }),
    fc.record({ kind: fc.constant('rdmsr' as const), index: fc.integer({ min: MSR_WALL_CLOCK_NEW, max: MSR_POLL_CONTROL + 1 }) }),
    fc.record({ kind: fc.constant('wait' as const), ns: fc.nat(1_000_000) }),
    fc.record({ kind: fc.constant('interrupt' as const), vector: fc.integer({ min: 0x20, max: 0xff }), level: fc.boolean() }),
    fc.constant({ kind: 'take' } as const),
    fc.constant({ kind: 'eoi' } as const),
    fc.record({ kind: fc.constant('call' as const), registers: fc.tuple(fc.nat(12), fc.nat(3), fc.nat(300)).map(([number, set, icr]) => [BigInt(number), 0n, 0n, BigInt(set), 0n, 0n, BigInt(icr)]) }),
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
