import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KvmParavirt, MSR_PV_EOI_EN } from './kvm.ts';
import { APIC_EOI } from './paravirt.ts';
import { type Operation, ParavirtRig } from './testing.ts';

const BYTE = 0x2000;
/** In-service register of vectors 0x40 to 0x5f. */
const ISR_40 = 0x120;

function rig(): ParavirtRig {
  const made = new ParavirtRig((options) => new KvmParavirt(options));
  made.paravirt.writeMsr(MSR_PV_EOI_EN, BigInt(BYTE) | 1n);
  made.eoiByte = BYTE;
  return made;
}

describe('the end of an interrupt by memory', () => {
  it('is offered with the interrupt, and reaches the APIC with the next one', () => {
    const r = rig();
    r.interrupt(0x41);
    expect(r.memory.bytes[BYTE]).toBe(0);
    expect(r.take()).toBe(0x41);
    expect(r.memory.bytes[BYTE]).toBe(1);
    r.endOfInterrupt();
    expect(r.eoiWrites).toBe(0);
    expect(r.outputs).not.toContainEqual(['eoi', 0x41]);
    // Of lower priority: it could not be taken before the APIC has the EOI.
    r.interrupt(0x31);
    expect(r.outputs).toContainEqual(['eoi', 0x41]);
    expect(r.take()).toBe(0x31);
  });

  it('is taken back when another interrupt comes: that one must not wait for a third', () => {
    const r = rig();
    r.interrupt(0x41);
    r.take();
    r.interrupt(0x42);
    expect(r.memory.bytes[BYTE]).toBe(0);
    expect(r.take()).toBeUndefined();
    r.endOfInterrupt();
    expect(r.eoiWrites).toBe(1);
    expect(r.take()).toBe(0x42);
    expect(r.memory.bytes[BYTE]).toBe(1);
  });

  it('nested: the inner one by memory, the outer one by register', () => {
    const r = rig();
    r.interrupt(0x41);
    r.take();
    r.interrupt(0x81);
    expect(r.take()).toBe(0x81);
    expect(r.memory.bytes[BYTE]).toBe(1);
    r.endOfInterrupt();
    expect(r.eoiWrites).toBe(0);
    r.endOfInterrupt();
    expect(r.eoiWrites).toBe(1);
    expect(r.outputs.filter((each) => Array.isArray(each) && each[0] === 'eoi')).toEqual([['eoi', 0x81], ['eoi', 0x41]]);
    expect(r.lapic.inService).toBe(-1);
  });

  it('is not offered while another interrupt waits, nor for a level-triggered one', () => {
    const r = rig();
    r.interrupt(0x81);
    r.interrupt(0x41);
    expect(r.take()).toBe(0x81);
    expect(r.memory.bytes[BYTE]).toBe(0);
    r.endOfInterrupt();
    expect(r.take()).toBe(0x41);
    r.endOfInterrupt();
    r.interrupt(0x51, true);
    r.take();
    expect(r.memory.bytes[BYTE]).toBe(0);
    r.endOfInterrupt();
    expect(r.eoiWrites).toBe(2);
  });

  it('shows in the APIC when the guest looks there', () => {
    const r = rig();
    r.interrupt(0x41);
    r.take();
    expect(r.apicRead(ISR_40)).toBe(2);
    expect(r.memory.bytes[BYTE]).toBe(1);
    r.endOfInterrupt();
    expect(r.apicRead(ISR_40)).toBe(0);
    expect(r.memory.bytes[BYTE]).toBe(0);
  });

  it('a guest that writes the register all the same has ended one interrupt, not two', () => {
    const r = rig();
    r.interrupt(0x41);
    r.take();
    r.interrupt(0x81);
    r.take();
    r.apicWrite(APIC_EOI, 0);
    expect(r.memory.bytes[BYTE]).toBe(0);
    expect(r.lapic.inService).toBe(0x41);
  });

  it('an APIC that was turned off meanwhile has nothing to end', () => {
    const r = rig();
    r.interrupt(0x41);
    r.take();
    r.paravirt.eoi!.settle();
    r.lapic.writeMsr(0x1b, 0xfee0_0100n);
    r.paravirt.eoi!.offer();
    expect([r.lapic.inService, r.memory.bytes[BYTE]]).toEqual([-1, 0]);
  });

  it('moves and stops when the guest says so', () => {
    const r = rig();
    r.interrupt(0x41);
    r.take();
    r.paravirt.writeMsr(MSR_PV_EOI_EN, BigInt(BYTE + 4) | 1n);
    expect([r.memory.bytes[BYTE], r.memory.bytes[BYTE + 4]]).toEqual([0, 1]);
    r.paravirt.writeMsr(MSR_PV_EOI_EN, 0n);
    expect([r.memory.bytes[BYTE], r.memory.bytes[BYTE + 4]]).toEqual([0, 0]);
    r.endOfInterrupt();
    expect(r.eoiWrites).toBe(1);
    r.interrupt(0x51);
    r.take();
    expect(r.memory.bytes[BYTE + 4]).toBe(0);
  });
});

describe('property', () => {
  const vector = fc.integer({ min: 0x20, max: 0xfe });
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('interrupt' as const), vector, level: fc.integer({ min: 0, max: 3 }).map((n) => n === 0) }) },
    { weight: 4, arbitrary: fc.constant({ kind: 'take' } as const) },
    { weight: 3, arbitrary: fc.constant({ kind: 'eoi' } as const) },
    { weight: 1, arbitrary: fc.constantFrom(0x80, 0xa0, 0x110, 0x120, 0x170, 0x210).map((offset) => ({ kind: 'apic-read' as const, offset })) },
  );

  it('the guest takes the interrupts that it takes with real ends, in the same order, with no more register writes', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const with_ = rig();
        const without = new ParavirtRig((options) => new KvmParavirt(options));
        // A handler ends its interrupt once; an EOI without one would end one that is further out.
        let depth = 0;
        for (const each of operations) {
          if (each.kind === 'eoi' && depth === 0) continue;
          const seen = [with_.perform(each), without.perform(each)];
          expect(seen[0]).toEqual(seen[1]);
          if (each.kind === 'take' && seen[0] !== undefined) depth++;
          if (each.kind === 'eoi') depth--;
        }
        expect(with_.eoiWrites).toBeLessThanOrEqual(without.eoiWrites);
        with_.paravirt.eoi!.settle();
        expect(with_.lapic.save()).toEqual(without.lapic.save());
      }),
      { numRuns: 300 },
    );
  });
});
