/** A paravirtual interface with memory, clock and local APIC, wired as the machine wires them, and a guest that uses them. For tests only. */
import type { Device, SavedState } from '../../devices/device.ts';
import { Lapic } from '../../devices/lapic/lapic.ts';
import { ManualTime, type Rig } from '../../devices/testing.ts';
import { FakeMemory } from '../../devices/virtio/testing.ts';
import { APIC_EOI, type HypercallRegisters, type Paravirt, type ParavirtApic, type ParavirtOptions } from './paravirt.ts';

export const MEMORY_BYTES = 0x4000;
export const WALL_CLOCK_NS = 1_700_000_000_123_456_789n;

/** Remembers its writes in order: address and length. */
export class WatchedMemory extends FakeMemory {
  readonly writes: { readonly at: number; readonly bytes: readonly number[] }[] = [];

  override write(paddr: number, bytes: Uint8Array): void {
    super.write(paddr, bytes);
    this.writes.push({ at: paddr, bytes: [...bytes] });
  }
  override write32(paddr: number, value: number): void {
    super.write32(paddr, value);
    this.writes.push({ at: paddr, bytes: [...this.bytes.subarray(paddr, paddr + 4)] });
  }
}

/** What a guest does and waits for. */
export type Operation =
  | { readonly kind: 'wrmsr'; readonly index: number; readonly value: bigint }
  | { readonly kind: 'rdmsr'; readonly index: number }
  | { readonly kind: 'wait'; readonly ns: number }
  | { readonly kind: 'interrupt'; readonly vector: number; readonly level: boolean }
  | { readonly kind: 'take' }
  | { readonly kind: 'eoi' }
  | { readonly kind: 'apic-read'; readonly offset: number }
  | { readonly kind: 'call'; readonly registers: readonly bigint[] }
  | { readonly kind: 'tsc'; readonly offset: bigint };

export class ParavirtRig implements Rig<Operation> {
  readonly time = new ManualTime();
  readonly memory = new WatchedMemory(MEMORY_BYTES);
  readonly lapic: Lapic;
  readonly paravirt: Paravirt;
  readonly outputs: unknown[] = [];
  /** The byte in which the guest looks before it writes EOI; undefined: it always writes. */
  eoiByte: number | undefined;
  /** Writes to the EOI register. */
  eoiWrites = 0;
  /** Added to virtual ns to give the TSC. */
  tscOffset = 0n;

  constructor(build: (options: ParavirtOptions) => Paravirt, hasApic = true) {
    this.lapic = new Lapic({
      timers: this.time,
      output: () => undefined,
      onRaise: (vector) => {
        this.paravirt.eoi?.settle();
        this.outputs.push(['raise', vector]);
      },
      onEoi: (vector) => {
        this.paravirt.eoi?.ended();
        this.outputs.push(['eoi', vector]);
      },
    });
    const { lapic } = this;
    const apic: ParavirtApic = {
      get inService() {
        return lapic.inService;
      },
      get isPending() {
        return lapic.isPending;
      },
      isLevel: (vector) => lapic.isLevel(vector),
      endOfInterrupt: () => lapic.endOfInterrupt(),
      deliver: (vector, level) => this.interrupt(vector, level),
      readRegister: (offset) => lapic.readMmio(offset, 4),
      writeRegister: (offset, value) => lapic.writeMmio(offset, 4, value),
    };
    this.paravirt = build({
      memory: this.memory, timers: this.time, tsc: { now: () => BigInt.asUintN(64, BigInt(this.time.now()) + this.tscOffset) }, wallClockNs: WALL_CLOCK_NS, apic: hasApic ? apic : undefined,
      onReset: () => this.outputs.push('reset'),
    });
  }

  /** From a device or from the hypervisor. */
  interrupt(vector: number, level = false): void {
    this.paravirt.eoi?.settle();
    this.outputs.push(['interrupt', vector]);
    this.lapic.deliver(vector, level);
  }

  /** The CPU takes what the APIC has for it: the vector; undefined for none. */
  take(): number | undefined {
    if (!this.lapic.intr) return undefined;
    const vector = this.lapic.acknowledge();
    this.paravirt.eoi?.injected(vector);
    return vector;
  }

  /** As Linux ends an interrupt: test and clear the bit, else the register. */
  endOfInterrupt(): void {
    if (this.eoiByte !== undefined && (this.memory.bytes[this.eoiByte] & 1) !== 0) {
      this.memory.bytes[this.eoiByte] &= ~1;
      return;
    }
    this.eoiWrites++;
    this.apicWrite(APIC_EOI, 0);
  }

  apicWrite(offset: number, value: number): void {
    this.paravirt.eoi?.settle();
    this.lapic.writeMmio(offset, 4, value);
    this.paravirt.eoi?.offer();
  }
  apicRead(offset: number): number {
    this.paravirt.eoi?.settle();
    const value = this.lapic.readMmio(offset, 4);
    this.paravirt.eoi?.offer();
    return value;
  }

  call(registers: readonly bigint[], privilege = 0, is64 = true): bigint | undefined {
    const caller: HypercallRegisters = { privilege, is64, register: (index) => registers[index] ?? 0n };
    return this.paravirt.hypercall(caller);
  }

  writeTsc(offset: bigint): void {
    this.tscOffset = offset;
    this.paravirt.tscChanged();
  }

  perform(operation: Operation): unknown {
    switch (operation.kind) {
      case 'wrmsr':
        return this.paravirt.writeMsr(operation.index, operation.value);
      case 'rdmsr':
        return this.paravirt.readMsr(operation.index);
      case 'wait':
        return this.time.advance(this.time.now() + operation.ns);
      case 'interrupt':
        return this.interrupt(operation.vector, operation.level);
      case 'take':
        return this.take();
      case 'eoi':
        return this.endOfInterrupt();
      case 'apic-read':
        return this.apicRead(operation.offset);
      case 'call':
        return this.call(operation.registers);
      case 'tsc':
        return this.writeTsc(operation.offset);
    }
  }

  /** All of it, so that a cut concerns memory and APIC too. */
  get device(): Device {
    return {
      name: 'rig',
      reset: () => this.paravirt.reset(),
      save: (): SavedState => ({ paravirt: this.paravirt.save(), lapic: this.lapic.save(), memory: String.fromCharCode(...this.memory.bytes), tscOffset: String(this.tscOffset) }),
      restore: ({ paravirt, lapic, memory, tscOffset }) => {
        this.memory.bytes.set(Uint8Array.from(memory as string, (c) => c.charCodeAt(0)));
        this.tscOffset = BigInt(tscOffset as string);
        this.lapic.restore(lapic as SavedState);
        this.paravirt.restore(paravirt as SavedState);
      },
    };
  }
}
