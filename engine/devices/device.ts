/**
 * What a device is to the machine and what the machine is to a device. A device knows no bus, no clock and no
 * other device: an interrupt line, a timer, a byte sink and guest memory are handed to it. It is a pure state
 * machine: the same calls give the same state, on every host.
 *
 * Times are virtual nanoseconds since reset, safe integers (2^53 ns are 104 days).
 */

/** A value that save() may return: plain data with a canonical byte form, so that digests agree on all hosts. */
export type SavedValue = number | boolean | string | Uint8Array | readonly SavedValue[] | SavedState;
export interface SavedState {
  readonly [field: string]: SavedValue;
}

/** An interrupt input of a controller. Level: call only on changes or repeat freely, both are the same. */
export interface InterruptLine {
  set(asserted: boolean): void;
}

/** One timer of the machine's scheduler. */
export interface Timer {
  /** Calls the owner's handler when virtual time reaches `atNs` (at once at the next instruction boundary if past). Re-arming replaces. */
  arm(atNs: number): void;
  cancel(): void;
}

export interface VirtualClock {
  /** Virtual time of the instruction that is executing, ns. */
  now(): number;
}

/** Handed to a device that needs timers: `create` is called once for each timer, in the constructor. Armed state is saved by the machine. */
export interface TimerSource extends VirtualClock {
  create(name: string, onFire: (nowNs: number) => void): Timer;
}

/** Guest-physical memory as a device sees it (DMA). Out-of-range accesses throw RangeError; check with `contains`. */
export interface GuestMemory {
  contains(paddr: number, length: number): boolean;
  /** A view, valid until the next call into the machine. Never write through it. */
  view(paddr: number, length: number): Uint8Array;
  read16(paddr: number): number;
  read32(paddr: number): number;
  /** As a safe integer; a larger value throws RangeError. */
  read64(paddr: number): number;
  write(paddr: number, bytes: Uint8Array): void;
  write16(paddr: number, value: number): void;
  write32(paddr: number, value: number): void;
  write64(paddr: number, value: number): void;
}

/** Bytes that leave the machine (console output). */
export type ByteSink = (byte: number) => void;

/** A fact worth a record in the log, reported as it happens; the recorder adds the position. */
export type DeviceReport =
  | { readonly kind: 'uart-tx'; readonly port: number; readonly byte: number }
  | { readonly kind: 'uart-rx'; readonly port: number; readonly byte: number }
  | { readonly kind: 'timer-arm'; readonly timer: string; readonly atNs: number }
  | { readonly kind: 'timer-fire'; readonly timer: string }
  | { readonly kind: 'virtio-request'; readonly device: string; readonly queue: number; readonly head: number; readonly type: number; readonly sector: number; readonly bytes: number }
  | { readonly kind: 'virtio-complete'; readonly device: string; readonly queue: number; readonly head: number; readonly status: number; readonly bytes: number }
  | { readonly kind: 'net-tx'; readonly device: string; readonly bytes: number }
  | { readonly kind: 'net-rx'; readonly device: string; readonly bytes: number };
export type ReportSink = (report: DeviceReport) => void;

export interface Device {
  readonly name: string;
  /** Back to the state at power-on. */
  reset(): void;
  save(): SavedState;
  /** The inverse of save(): afterwards save() returns an equal value. */
  restore(state: SavedState): void;
}

export interface PortDevice extends Device {
  /** First port and number of ports, once for each range. */
  readonly ports: readonly { readonly first: number; readonly count: number }[];
  /** size is 1, 2 or 4; the value is unsigned. What the device does not decode reads as all ones. */
  readPort(port: number, size: number): number;
  writePort(port: number, size: number, value: number): void;
}

export interface MmioDevice extends Device {
  readonly mmioBase: number;
  readonly mmioLength: number;
  /** offset from mmioBase; size is 1, 2 or 4 (the machine splits 8); the value is unsigned. */
  readMmio(offset: number, size: number): number;
  writeMmio(offset: number, size: number, value: number): void;
}
