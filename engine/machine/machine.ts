/**
 * The machine: CPU, memory, devices and virtual time put together. A pure function of its configuration, its images and the inputs
 * that are handed to it between runs. What happens inside is told to an EventSink, if there is one.
 *
 *     run(until) ──► due timers fire ──► core.run() up to the next timer or `until` ──► HLT: comes back, skipIdle() ──► ...
 *
 * Virtual time (ns) = instructions retired + time offset; the offset grows by idle time and by the cost of device accesses.
 */
import { Core } from '../cpu/core.ts';
import { type Jit, attachJit } from '../jit/jit.ts';
import * as L from '../cpu/layout.ts';
import { CpuModel, PLAIN_MSRS } from '../cpu/model.ts';
import { AcpiPm } from '../devices/acpi-pm/acpi-pm.ts';
import { DebugExit } from '../devices/debug-exit/debug-exit.ts';
import type { Device, DeviceReport, InterruptLine, MmioDevice, PortDevice, SavedState } from '../devices/device.ts';
import { I8042 } from '../devices/i8042/i8042.ts';
import { Ioapic } from '../devices/ioapic/ioapic.ts';
import { Lapic } from '../devices/lapic/lapic.ts';
import { MarkPort } from '../devices/mark/mark.ts';
import { Pic } from '../devices/pic/pic.ts';
import { Pit } from '../devices/pit/pit.ts';
import { Rtc } from '../devices/rtc/rtc.ts';
import { Uart } from '../devices/uart/uart.ts';
import { type BlockBacking, VirtioBlock } from '../devices/virtio-block/virtio-block.ts';
import { VIRTIO_IRQS, VIRTIO_MMIO_BASE, VIRTIO_MMIO_LENGTH } from '../devices/virtio/mmio.ts';
import { VirtioConsole } from '../devices/virtio-console/virtio-console.ts';
import { LoopbackNetwork } from '../devices/virtio-net/loopback.ts';
import { VirtioNet } from '../devices/virtio-net/virtio-net.ts';
import { VirtioRng } from '../devices/virtio-rng/virtio-rng.ts';
import type { EventSink } from '../log/event-sink.ts';
import type { FirstWrites } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import { type AcpiTable, buildAcpiTables } from './acpi.ts';
import type { BootPlan, InitialCpuState } from './boot/plan.ts';
import { CoreMemory } from './guest-memory.ts';
import type { Hypervisor, NewHypervisor } from './hypervisor.ts';
import { HyperVParavirt } from './paravirt/hyperv.ts';
import { KvmParavirt } from './paravirt/kvm.ts';
import type { Paravirt, ParavirtApic, ParavirtKind } from './paravirt/paravirt.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { CPU_DIGEST_BYTES, type MachineState, type RamPages, restoreCpu, restoreRam, saveCpu, saveDirty, saveFirstWrites, saveTables } from './snapshot.ts';
import { encodeState } from './state-bytes.ts';
import { StoredMsrs } from './stored-msrs.ts';

/** All that decides a run beside the images and the inputs. */
export interface MachineConfig {
  /** Bytes, a multiple of 4096, 2 MiB to 2 GiB. */
  readonly memoryBytes: number;
  /** Seed of RDRAND and of the entropy device, 64 bits as 16 hex digits. */
  readonly seed: string;
  /** Wall clock at power-on, ns since 1970-01-01 UTC, decimal. */
  readonly wallClockNs: string;
  /** Local APIC, I/O APIC and ACPI tables; without them PIC and PIT only. */
  readonly acpi: boolean;
  /** virtio-mmio windows in slot order; slot n is at VIRTIO_MMIO_BASE + n * VIRTIO_MMIO_LENGTH, on line VIRTIO_IRQS[n]. */
  readonly virtio: readonly VirtioKind[];
  /** Virtual ns that one device register access takes. */
  readonly accessCostNs: number;
  /** The log gets what the CPU has counted (events of kind `counts`). */
  readonly counts?: boolean;
  /** Dirty sets have the first write to each page, and which pages are zeros at the end. */
  readonly firstWrites?: boolean;
  /** The paravirtual interface that is offered to the guest; none unless given. */
  readonly pv?: ParavirtKind;
  /** Of what the machine does where an earlier version did otherwise (README.md): MACHINE_REVISION unless given. */
  readonly revision?: number;
}
export type VirtioKind = 'console' | 'block' | 'net' | 'rng';

export const DEFAULT_ACCESS_COST_NS = 1000;
/** README.md lists what each one changed. */
export const MACHINE_REVISION = 4;
export interface MachineOptions {
  readonly config: MachineConfig;
  readonly module: WebAssembly.Module;
  /** What the guest writes to its serial console. */
  readonly console?: (byte: number) => void;
  /** What the guest writes to its virtio console. */
  readonly virtioConsole?: (bytes: Uint8Array) => void;
  /** Base image of the block device. */
  readonly disk?: BlockBacking;
  /** Above the guest, if it knows of one. */
  readonly hypervisor?: NewHypervisor;
}

/** Looks on while the guest runs. What it sees and answers changes no position, event or digest. */
export interface Observer {
  /** An observed instruction is about to run: position and rip are its own; kinds: OBSERVE_*. Told once for each start. True stops the run before it. */
  start?(kinds: number): boolean;
  /** A watched frame is about to be accessed: ACCESS_LOAD, ACCESS_STORE, ACCESS_WALK (A and D bits) or ACCESS_DEVICE. True stops the run after the instruction. */
  access?(kind: number, paddr: number, size: number): boolean;
  /** A device, or the paravirtual interface, is about to read or write RAM: in the midst of an instruction, or between two. */
  device?(paddr: number, size: number): void;
}

/** Why run() came back. */
export type RunStop =
  | { readonly kind: 'limit' }
  /** Halted. The next timer fires in `ns`, Infinity if none is armed: skipIdle(), or an input, goes on. */
  | { readonly kind: 'idle'; readonly ns: number }
  /** The observer stopped it: before an instruction, or after one that accessed what is watched. */
  | { readonly kind: 'observed' }
  | { readonly kind: 'end'; readonly reason: EndKind; readonly detail: string };
export type EndKind = 'shutdown' | 'reset' | 'triple-fault' | 'debug-exit' | 'halted' | 'error';

// Numbers of the log's interrupt phases and controllers, repeated here because only types may come from above.
const RAISED = 0, INJECTED = 1, ACKNOWLEDGED = 2, EOI = 3;
const PIC = 0, IOAPIC = 1, LAPIC = 2, EVENT_CHANNEL = 3;
const ACCESS_WRITE = 0x10;

const IF = 0x200;

/** Thrown through the core, to leave it before the running instruction has an effect. */
const LEFT = Object.freeze({ left: true });
/** Why: what the hypervisor is to handle. */
type Handover =
  | { readonly kind: 'hypercall' | 'attend' }
  | { readonly kind: 'exception'; readonly vector: number; readonly error: number | undefined; readonly address: bigint };
const EFER_LMA = 0x400n;
/** The L bit of a code segment, where SEG_ATTR has it. */
const SEGMENT_LONG = 0x2000;

export class Machine {
  readonly config: MachineConfig;
  readonly core: Core;
  readonly scheduler: Scheduler;
  readonly devices: readonly Device[];
  readonly uart: Uart;
  readonly virtioConsole: VirtioConsole | undefined;
  readonly block: VirtioBlock | undefined;
  private readonly cpuModel: CpuModel;
  private readonly msrs = new StoredMsrs(PLAIN_MSRS);
  private readonly pic: Pic;
  private readonly lapic: Lapic | undefined;
  private readonly ioapic: Ioapic | undefined;
  private readonly paravirt: Paravirt | undefined;
  private readonly random: Random;
  private sink: EventSink | undefined;
  private readonly portMap = new Map<number, PortDevice>();
  private readonly mmioDevices: MmioDevice[] = [];
  /** State that is no device of its own. */
  private readonly extra: Device[] = [];
  private ended: Extract<RunStop, { kind: 'end' }> | undefined;
  /** Position that the present run() must not pass. */
  private until = 0;
  private inCore = false;
  private observer: Observer | undefined;
  /** Where the observer was told of a start last. */
  private toldPosition = -1;
  private toldRipLow = 0;
  private toldRipHigh = 0;
  /** Where the run stops after a watched access. */
  private accessStop = Infinity;
  private readonly costNs: number;
  readonly jit: Jit | undefined;
  private readonly hypervisor: Hypervisor | undefined;
  private hypervisorWaits = false;
  private handover: Handover = { kind: 'attend' };
  /** Instructions that the hypervisor has let retire. */
  private handedRetired = 0;

  constructor(options: MachineOptions) {
    const { config } = options;
    this.config = config;
    this.costNs = config.accessCostNs;
    this.random = new Random(BigInt(`0x${config.seed}`));
    this.cpuModel = new CpuModel({ apic: config.acpi, tscHz: 1e9, hypervisor: config.pv !== undefined });
    this.core = new Core(options.module, config.memoryBytes, {
      ioRead: (port, size) => this.ioRead(port, size),
      ioWrite: (port, size, value) => this.ioWrite(port, size, value),
      mmioRead: (paddr, size) => this.mmioRead(paddr, size),
      mmioWrite: (paddr, size) => this.mmioWrite(paddr, size),
      exitEvent: (reason, info) => this.exitEvent(reason, info),
      acknowledge: () => this.acknowledge(),
      cpuid: (leaf, subleaf) => this.cpuid(leaf, subleaf),
      rdmsr: (index) => this.rdmsr(index),
      wrmsr: (index) => this.wrmsr(index),
      readTpr: () => this.taskPriority,
      observe: (kinds) => {
        // An instruction that is run again alone, or after a stop before it, has been told.
        const at = this.core.position();
        const low = this.core.ripLow();
        const high = this.core.ripHigh();
        if (at === this.toldPosition && low === this.toldRipLow && high === this.toldRipHigh) return false;
        this.toldPosition = at;
        this.toldRipLow = low;
        this.toldRipHigh = high;
        return this.observer?.start?.(kinds) === true;
      },
      observeAccess: (kind, paddr, size) => {
        if (this.observer?.access?.(kind, paddr, size) !== true) return;
        this.accessStop = this.core.position() + 1;
        this.updateLimit();
      },
      writeTpr: (value) => {
        if (this.lapic !== undefined) this.lapic.cr8 = value;
        else this.cr8 = value;
      },
    });
    this.jit = attachJit(this.core);
    const report = (event: DeviceReport): void => this.sink?.device(this.position(), event);
    this.scheduler = new Scheduler({
      now: () => this.nowNs(),
      onChange: (timer, atNs) => {
        if (atNs !== Infinity) report({ kind: 'timer-arm', timer, atNs });
        this.updateLimit();
      },
      onFire: (timer) => report({ kind: 'timer-fire', timer }),
    });
    const memory = new CoreMemory(this.core, (paddr, size) => this.observer?.device?.(paddr, size));
    const timers = this.scheduler;

    this.pic = new Pic({
      output: () => this.updateIntr(),
      onRaise: (irq) => this.sink?.interrupt(this.position(), RAISED, PIC, -1, irq),
      onAcknowledge: (irq, vector) => this.sink?.interrupt(this.position(), ACKNOWLEDGED, PIC, vector, irq),
      onEoi: (irq) => this.sink?.interrupt(this.position(), EOI, PIC, -1, irq),
    });
    if (config.acpi) {
      this.lapic = new Lapic({
        timers,
        output: () => this.updateIntr(),
        onExtIntChange: () => this.updateIntr(),
        onRaise: (vector) => {
          this.paravirt?.eoi?.settle();
          this.sink?.interrupt(this.position(), RAISED, LAPIC, vector, -1);
        },
        onEoi: (vector, level) => {
          this.paravirt?.eoi?.ended();
          this.sink?.interrupt(this.position(), EOI, LAPIC, vector, -1);
          if (level) this.ioapic?.endOfInterrupt(vector);
        },
        tsc: {
          now: () => this.tscNow(),
          toNs: (tsc) => {
            // Revision 1 took the offset for a signed number of 65 bits: after a guest had lowered its TSC every deadline was past.
            const isWrapping = (config.revision ?? MACHINE_REVISION) >= 2;
            const ns = isWrapping ? BigInt(this.nowNs()) + tsc - this.tscNow() : tsc - this.core.big(L.TSC_OFFSET);
            return ns > 9007199254740991n ? Infinity : Number(ns < 0n ? 0n : ns);
          },
        },
      });
      this.ioapic = new Ioapic({
        deliver: (vector, level, mode, destination, logical) => {
          if (mode > 1 || !this.lapic!.matches(destination, logical)) return;
          this.deliver(IOAPIC, vector, level);
        },
        onExtIntChange: () => this.updateIntr(),
      });
    }
    this.paravirt = config.pv === undefined ? undefined : this.newParavirt(config.pv, memory, this.lapic);
    if (this.paravirt !== undefined) this.extra.push(this.paravirt);
    const pit = new Pit({ timers, irq: this.irq(0) });
    const rtc = new Rtc({ timers, irq: this.irq(8), wallClockNs: BigInt(config.wallClockNs), memoryBytes: config.memoryBytes });
    this.uart = new Uart({ timers, irq: this.irq(4), transmit: (byte) => options.console?.(byte), report });
    const i8042 = new I8042({ onReset: () => this.end('reset', 'the guest pulled the reset line through the keyboard controller') });
    const debugExit = new DebugExit({ onExit: (value) => this.end('debug-exit', String((value << 1) | 1)) });
    const mark = new MarkPort({ onMark: (name) => {
      this.reportCounts();
      this.sink?.mark(this.position(), name, 'guest');
    } });
    const acpiPm = config.acpi
      ? new AcpiPm({
          onPowerOff: () => this.end('shutdown', 'the guest powered the machine off (ACPI S5)'),
          onReset: () => this.end('reset', 'the guest reset the machine through the ACPI reset register'),
        })
      : undefined;
    let virtioConsole: VirtioConsole | undefined;
    let block: VirtioBlock | undefined;
    const virtio: MmioDevice[] = config.virtio.map((kind, slot) => {
      const common = { mmioBase: VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_LENGTH, line: this.irq(VIRTIO_IRQS[slot]), memory, report };
      switch (kind) {
        case 'console':
          virtioConsole = new VirtioConsole({ ...common, output: (bytes) => options.virtioConsole?.(bytes) });
          return virtioConsole;
        case 'block':
          if (options.disk === undefined) throw new Error('a block device is configured, but no disk image was handed in');
          block = new VirtioBlock({ ...common, timers, backing: options.disk });
          return block;
        case 'net':
          // Loopback for now: what the guest sends comes back to it.
          return this.loopbackNet(common);
        case 'rng':
          return new VirtioRng({ ...common, entropy: (length) => this.random.bytes(length) });
      }
    });
    this.virtioConsole = virtioConsole;
    this.block = block;

    const portDevices: PortDevice[] = [this.pic, pit, rtc, this.uart, i8042, debugExit, mark];
    if (acpiPm !== undefined) portDevices.push(acpiPm);
    for (const device of portDevices) {
      for (const { first, count } of device.ports) for (let port = first; port < first + count; port++) this.portMap.set(port, device);
    }
    this.mmioDevices.push(...virtio);
    if (this.lapic !== undefined) this.mmioDevices.push(this.lapic);
    if (this.ioapic !== undefined) this.mmioDevices.push(this.ioapic);
    this.devices = [...portDevices, ...this.mmioDevices, ...this.extra];
    this.core.setBig(L.RANDOM, BigInt(`0x${config.seed}`));
    this.hypervisor = options.hypervisor?.({
      core: this.core, timers, disk: options.disk, report,
      revision: config.revision ?? MACHINE_REVISION,
      setAttention: (wanted) => {
        this.hypervisorWaits = wanted;
        this.updateIntr();
      },
      retire: (bytes) => {
        this.core.setBig(L.RIP, BigInt.asUintN(64, this.core.big(L.RIP) + BigInt(bytes)));
        this.handedRetired++;
      },
      exit: (reason, qualification) => this.sink?.exit(this.position(), this.core.ripLow(), this.core.ripHigh(), reason, Number(qualification & 0xffffffffn), Number(qualification >> 32n)),
      exitException: (vector, error, address) =>
        this.sink?.exitException(this.position(), this.core.ripLow(), this.core.ripHigh(), vector, error ?? -1, Number(address & 0xffffffffn), Number(address >> 32n)),
      event: (phase, port) => this.sink?.interrupt(this.position(), phase, EVENT_CHANNEL, -1, port),
      console: (byte) => options.console?.(byte),
      mark: (name) => {
        this.sink?.mark(this.position(), name, 'guest');
        this.reportCounts();
      },
      end: (reason, detail) => this.end(reason, detail),
    });
  }

  /** A network of one: what the guest sends comes back to it. */
  private loopbackNet(common: { mmioBase: number; line: InterruptLine; memory: CoreMemory; report: (event: DeviceReport) => void }): VirtioNet {
    const network = new LoopbackNetwork({ timers: this.scheduler });
    const net = new VirtioNet({ ...common, backend: network });
    network.connect((frame) => net.receive(frame));
    this.extra.push(network);
    return net;
  }

  private newParavirt(kind: ParavirtKind, memory: CoreMemory, lapic: Lapic | undefined): Paravirt {
    const apic: ParavirtApic | undefined = lapic && {
      get inService() {
        return lapic.inService;
      },
      get isPending() {
        return lapic.isPending;
      },
      isLevel: (vector) => lapic.isLevel(vector),
      endOfInterrupt: () => lapic.endOfInterrupt(),
      deliver: (vector, level) => this.deliver(LAPIC, vector, level),
      readRegister: (offset) => lapic.readMmio(offset, 4),
      writeRegister: (offset, value) => lapic.writeMmio(offset, 4, value),
    };
    const options = {
      memory, apic, timers: this.scheduler, tsc: { now: () => this.tscNow() }, wallClockNs: BigInt(this.config.wallClockNs),
      onReset: () => this.end('reset', 'the guest reset the machine through the hypervisor'),
    };
    return kind === 'kvm' ? new KvmParavirt(options) : new HyperVParavirt(options);
  }

  private cr8 = 0;

  /** CR8: the task priority of the local APIC (SDM vol. 3A, 11.8.6), in a machine without one a plain register. */
  get taskPriority(): number {
    return this.lapic?.cr8 ?? this.cr8;
  }

  /** From now on events go to `sink`. */
  attach(sink: EventSink): void {
    this.sink = sink;
  }

  // ---- state at power-on ----

  /** Places images and tables and sets the CPU as the boot protocol says. Call once, before the first run(). */
  load(plan: BootPlan): void {
    for (const { paddr, bytes } of plan.loads) this.core.writePhysical(paddr, bytes);
    if (this.config.acpi) {
      for (const { address, bytes } of acpiTables(this.config).tables) this.core.writePhysical(address, bytes);
    }
    this.setCpu(plan.cpu);
    this.hypervisor?.start();
  }

  private setCpu(cpu: InitialCpuState): void {
    const { core } = this;
    const names = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
    names.forEach((name, i) => core.setBig(L.REGS + i * 8, name === 'rsp' ? cpu.rsp : (cpu.registers[name] ?? 0n)));
    core.setBig(L.RIP, cpu.rip);
    core.setBig(L.CR0, cpu.cr0);
    core.setBig(L.CR3, cpu.cr3);
    core.setBig(L.CR4, cpu.cr4);
    core.setBig(L.EFER, cpu.efer);
    const order = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
    order.forEach((name, i) => {
      const s = cpu.segments[name];
      this.setSegment(i, s.selector, s.attr, s.limit, s.base);
    });
    const { tr } = cpu.segments;
    this.setSegment(L.TR, tr.selector, tr.attr, tr.limit, tr.base);
    this.setSegment(L.LDTR, 0, 0x10000, 0, 0n);
    core.setBig(L.GDTR_BASE, cpu.gdtBase);
    core.u32[L.GDTR_LIMIT >>> 2] = cpu.gdtLimit;
    core.setBig(L.IDTR_BASE, 0n);
    core.u32[L.IDTR_LIMIT >>> 2] = 0xffff;
    core.u32[L.CPL >>> 2] = cpu.segments.cs.selector & 3;
    // SDM vol. 3A table 9-1, after INIT; FCW and MXCSR as Firecracker and QEMU hand them over
    core.u16[L.FCW >>> 1] = 0x37f;
    core.u32[L.MXCSR >>> 2] = 0x1f80;
    core.setBig(L.DR6, 0n);
    core.setBig(L.DR7, 0n);
    core.setBig(L.MSR_PAT, 0x0007040600070406n);
    core.exports.setFlags(cpu.rflags);
    core.exports.updateMode();
    core.exports.tlbFlushAll();
  }

  private setSegment(index: number, selector: number, attr: number, limit: number, base: bigint): void {
    const at = L.SEGS + index * L.SEG_SIZE;
    this.core.u16[at >>> 1] = selector;
    this.core.u32[(at + L.SEG_ATTR) >>> 2] = attr;
    this.core.u32[(at + L.SEG_LIMIT) >>> 2] = limit;
    this.core.setBig(at + L.SEG_BASE, base);
  }

  // ---- time ----

  /** Instructions retired: the position. */
  position(): Position {
    return this.core.position() as Position;
  }
  /** Virtual time of the running instruction, ns since reset. */
  nowNs(): number {
    return this.core.position() + this.core.number(L.TIME_OFFSET);
  }
  private tscNow(): bigint {
    return (BigInt(this.nowNs()) + this.core.big(L.TSC_OFFSET)) & 0xffffffffffffffffn;
  }
  private addTime(ns: number): void {
    this.core.setNumber(L.TIME_OFFSET, this.core.number(L.TIME_OFFSET) + ns);
  }
  private updateLimit(): void {
    const nextNs = this.scheduler?.nextNs() ?? Infinity;
    const limit = Math.min(this.until, this.accessStop, nextNs === Infinity ? Infinity : Math.max(0, nextNs - this.core.number(L.TIME_OFFSET)));
    this.core.setNumber(L.LIMIT, limit);
    this.core.requestCheck();
  }

  // ---- running ----

  /** Runs to the position `until` (instructions retired), or until the machine ends or waits for input. */
  run(until: number): RunStop {
    this.until = until;
    for (;;) {
      if (this.ended !== undefined) return this.ended;
      this.scheduler.fireDue(this.nowNs());
      if (this.ended !== undefined) return this.ended;
      if (this.core.number(L.ICOUNT) >= this.accessStop) {
        this.accessStop = Infinity;
        return { kind: 'observed' };
      }
      this.updateLimit();
      if (this.core.number(L.ICOUNT) >= until && (this.core.u32[L.HALTED >>> 2] === 0 || this.intr())) return { kind: 'limit' };
      const why = this.runCore();
      switch (why) {
        case L.EXIT_LIMIT:
        case L.EXIT_REQUEST:
          break;
        case L.EXIT_HLT: {
          const ns = this.scheduler.nextNs() - this.nowNs();
          if ((this.core.u32[L.FLAGS >>> 2] & IF) === 0) this.end('halted', 'HLT with interrupts off');
          else if (ns > 0) return { kind: 'idle', ns };
          break;
        }
        case L.EXIT_SHUTDOWN:
          this.end('triple-fault', `at rip 0x${this.core.big(L.RIP).toString(16)}`);
          break;
        case L.EXIT_OBSERVED:
          return { kind: 'observed' };
        case L.EXIT_UNSUPPORTED:
          this.end('error', `the guest entered 16-bit code at rip 0x${this.core.big(L.RIP).toString(16)}, which this CPU does not have: boot it by a 32- or 64-bit protocol`);
          break;
        default:
          throw new Error(`the core returned ${why}`);
      }
    }
  }

  private runCore(): number {
    this.inCore = true;
    this.jit?.flush();
    try {
      return this.core.run();
    } catch (thrown) {
      if (thrown !== LEFT) throw thrown;
      this.inCore = false;
      this.handOver();
      return L.EXIT_REQUEST;
    } finally {
      this.inCore = false;
    }
  }

  /** The core was left before an instruction, or between two: its state becomes exact, and the hypervisor goes on. */
  private handOver(): void {
    const { core, handover } = this;
    const hypervisor = this.hypervisor!;
    const position = core.position();
    const low = core.ripLow();
    core.u32[(L.RIP >>> 2) + 1] = core.ripHigh();
    core.u32[L.RIP >>> 2] = low;
    core.setNumber(L.ICOUNT, position);
    for (const transient of [L.BLOCK, L.ISOLATE, L.INTR_SHADOW]) core.u32[transient >>> 2] = 0;
    this.handedRetired = 0;
    switch (handover.kind) {
      case 'hypercall':
        hypervisor.hypercall();
        break;
      case 'attend':
        hypervisor.attend();
        break;
      case 'exception':
        hypervisor.exception(handover.vector, handover.error, handover.address);
    }
    // Only now: events of the handling are the instruction's.
    core.setNumber(L.ICOUNT, position + this.handedRetired);
  }

  /** From now on `observer` is told what core.observeCode() and core.watchFrame() choose. */
  observe(observer: Observer | undefined): void {
    this.observer = observer;
  }

  /** Lets virtual time pass while the CPU is halted. */
  skipIdle(ns: number): void {
    this.addTime(ns);
    this.sink?.idle(this.position(), ns);
  }

  /** Lets virtual time pass without the CPU, between runs: timers fire when they are due, and what they raise waits for it. */
  stall(ns: number): void {
    for (const until = this.nowNs() + ns; this.nowNs() < until; ) {
      this.scheduler.fireDue(this.nowNs());
      if (this.ended !== undefined) return;
      this.skipIdle(Math.min(until, this.scheduler.nextNs()) - this.nowNs());
    }
  }

  private end(reason: EndKind, detail: string): void {
    if (this.ended !== undefined) return;
    this.ended = { kind: 'end', reason, detail };
    if (this.inCore) {
      this.core.u32[L.EXIT >>> 2] = L.EXIT_REQUEST;
      this.core.requestCheck();
    }
  }

  // ---- interrupts ----

  private irq(line: number): InterruptLine {
    return {
      set: (asserted) => {
        this.pic.line(line).set(asserted);
        this.ioapic?.line(line === 0 ? 2 : line).set(asserted);
      },
    };
  }

  /** An interrupt message to the local APIC. */
  private deliver(controller: number, vector: number, level: boolean): void {
    this.paravirt?.eoi?.settle();
    this.sink?.interrupt(this.position(), RAISED, controller, vector, -1);
    this.lapic!.deliver(vector, level);
  }

  private intr(): boolean {
    if (this.hypervisor !== undefined) return this.hypervisorWaits;
    if (this.lapic === undefined) return this.pic.intr;
    return this.lapic.intr || (this.pic.intr && (this.lapic.acceptsExtInt || this.ioapic!.acceptsExtInt));
  }
  private updateIntr(): void {
    // Devices are wired up one after the other in the constructor.
    if (this.pic === undefined) return;
    this.core.u32[L.INTR >>> 2] = this.intr() ? 1 : 0;
    this.core.requestCheck();
  }
  private acknowledge(): number {
    if (this.hypervisor !== undefined) {
      this.handover = { kind: 'attend' };
      throw LEFT;
    }
    let vector = -1;
    if (this.lapic?.intr === true) {
      vector = this.lapic.acknowledge();
      this.paravirt?.eoi?.injected(vector);
      this.sink?.interrupt(this.position(), ACKNOWLEDGED, LAPIC, vector, -1);
    } else if (this.intr()) vector = this.pic.acknowledge();
    this.updateIntr();
    if (vector >= 0) this.sink?.interrupt(this.position(), INJECTED, this.lapic === undefined ? PIC : LAPIC, vector, -1);
    return vector;
  }

  // ---- what the CPU asks ----

  private ioRead(port: number, size: number): number {
    const device = this.portMap.get(port);
    const value = device === undefined ? (size === 4 ? 0xffffffff : (1 << (size * 8)) - 1) : device.readPort(port, size);
    this.accessed();
    this.sink?.exitIo(this.position(), this.core.ripLow(), this.core.ripHigh(), port, size, 0, value >>> 0, this.costNs);
    return value | 0;
  }
  private ioWrite(port: number, size: number, value: number): void {
    // The exit comes first in the log, then what the device made of it.
    this.sink?.exitIo(this.position(), this.core.ripLow(), this.core.ripHigh(), port, size, ACCESS_WRITE, value, this.costNs);
    this.portMap.get(port)?.writePort(port, size, value);
    this.accessed();
  }
  private accessed(): void {
    this.addTime(this.costNs);
    this.updateLimit();
  }

  private mmioDevice(paddr: number): MmioDevice | undefined {
    for (const device of this.mmioDevices) if (paddr >= device.mmioBase && paddr < device.mmioBase + device.mmioLength) return device;
    return undefined;
  }
  private mmioRead(paddr: number, size: number): void {
    const device = this.mmioDevice(paddr);
    const { u32 } = this.core;
    let low = size >= 4 ? 0xffffffff : (1 << (size * 8)) - 1;
    let high = size === 8 ? 0xffffffff : 0;
    const eoi = device === this.lapic ? this.paravirt?.eoi : undefined;
    eoi?.settle();
    if (device !== undefined) {
      const offset = paddr - device.mmioBase;
      low = device.readMmio(offset, Math.min(size, 4)) >>> 0;
      if (size === 8) high = device.readMmio(offset + 4, 4) >>> 0;
    }
    eoi?.offer();
    u32[L.MAILBOX >>> 2] = low;
    u32[(L.MAILBOX >>> 2) + 1] = high;
    this.accessed();
    this.sink?.exitMmio(this.position(), this.core.ripLow(), this.core.ripHigh(), paddr, size, 0, low, high, this.costNs);
  }
  private mmioWrite(paddr: number, size: number): void {
    const { u32 } = this.core;
    const low = size >= 4 ? u32[L.MAILBOX >>> 2] : u32[L.MAILBOX >>> 2] & ((1 << (size * 8)) - 1);
    const high = size === 8 ? u32[(L.MAILBOX >>> 2) + 1] : 0;
    this.sink?.exitMmio(this.position(), this.core.ripLow(), this.core.ripHigh(), paddr, size, ACCESS_WRITE, low, high, this.costNs);
    const device = this.mmioDevice(paddr);
    const eoi = device === this.lapic ? this.paravirt?.eoi : undefined;
    eoi?.settle();
    if (device !== undefined) {
      const offset = paddr - device.mmioBase;
      device.writeMmio(offset, Math.min(size, 4), low);
      if (size === 8) device.writeMmio(offset + 4, 4, high);
    }
    eoi?.offer();
    this.accessed();
  }

  private cpuid(leaf: number, subleaf: number): void {
    const row = this.paravirt?.cpuid(leaf) ?? this.cpuModel.row(leaf, subleaf);
    const { u32 } = this.core;
    for (let i = 0; i < 4; i++) {
      u32[(L.MAILBOX >>> 2) + i * 2] = row[i];
      u32[(L.MAILBOX >>> 2) + i * 2 + 1] = 0;
    }
  }

  private isApicMsr(index: number): boolean {
    return index === 0x1b || index === 0x6e0 || (index >= 0x800 && index <= 0x8ff);
  }
  private rdmsr(index: number): number {
    const { paravirt } = this;
    const value = this.isApicMsr(index) ? this.lapic?.readMsr(index) : paravirt?.ownsMsr(index) === true ? paravirt.readMsr(index) : this.msrs.get(index);
    if (value === undefined) return 0;
    this.core.setBig(L.MAILBOX, value);
    return 1;
  }
  private wrmsr(index: number): number {
    const value = this.core.big(L.MAILBOX);
    const { lapic, paravirt } = this;
    if (this.isApicMsr(index)) {
      if (lapic === undefined) return 0;
      paravirt?.eoi?.settle();
      const ok = lapic.writeMsr(index, value);
      paravirt?.eoi?.offer();
      this.updateIntr();
      return ok ? 1 : 0;
    }
    if (paravirt?.ownsMsr(index) === true) return paravirt.writeMsr(index, value) ? 1 : 0;
    return this.msrs.set(index, value) ? 1 : 0;
  }

  /** The exit comes first in the log, then what it does. Who takes the call says so in the mailbox. */
  private vmcall(): void {
    const { core, sink } = this;
    if (this.hypervisor !== undefined) {
      this.handover = { kind: 'hypercall' };
      throw LEFT;
    }
    // rax: the number of the call in the ABIs of Xen and KVM.
    sink?.exit(this.position(), core.ripLow(), core.ripHigh(), L.REASON_VMCALL, core.u32[L.REGS >>> 2], core.u32[(L.REGS >>> 2) + 1]);
    const isLong = (core.big(L.EFER) & EFER_LMA) !== 0n && (core.u32[(L.SEGS + L.CS * L.SEG_SIZE + L.SEG_ATTR) >>> 2] & SEGMENT_LONG) !== 0;
    const result = this.paravirt?.hypercall({ privilege: core.u32[L.CPL >>> 2], is64: isLong, register: (index) => core.big(L.REGS + index * 8) });
    if (result === undefined) return;
    core.setBig(L.REGS, result);
    core.setBig(L.MAILBOX, 1n);
  }

  private exitEvent(reason: number, info: number): void {
    if (reason === L.REASON_EXCEPTION && this.hypervisor !== undefined) {
      const error = (info & 0x100) !== 0 ? this.core.u32[(L.MAILBOX >>> 2) + 2] : undefined;
      this.handover = { kind: 'exception', vector: info & 0xff, error, address: this.core.big(L.MAILBOX) };
      throw LEFT;
    }
    if (reason === L.REASON_VMCALL) return this.vmcall();
    if (reason === L.REASON_WRMSR && this.core.u32[(L.REGS + 8) >>> 2] === 0x10) {
      this.lapic?.tscChanged();
      this.paravirt?.tscChanged();
    }
    const { sink } = this;
    if (sink === undefined) return;
    const { u32 } = this.core;
    const lo = this.core.ripLow();
    const hi = this.core.ripHigh();
    const m0 = u32[L.MAILBOX >>> 2];
    const m1 = u32[(L.MAILBOX >>> 2) + 1];
    switch (reason) {
      case L.REASON_EXCEPTION:
        sink.exitException(this.position(), lo, hi, info & 0xff, info & 0x100 ? u32[(L.MAILBOX >>> 2) + 2] : -1, m0, m1);
        return;
      case L.REASON_CPUID:
        sink.exitCpuid(this.position(), lo, hi, m0, m1);
        return;
      case L.REASON_CR_ACCESS:
        sink.exitCr(this.position(), lo, hi, info & 0xff, (info >>> 12) & 3, (info >>> 8) & 15, m0, m1);
        return;
      case L.REASON_MOV_DR:
        this.drEvent(sink, info & 15, (info & 0x10) === 0, lo, hi);
        return;
      case L.REASON_RDMSR:
        sink.exitMsr(this.position(), lo, hi, info, false, m0, m1);
        return;
      case L.REASON_WRMSR:
        sink.exitMsr(this.position(), lo, hi, info, true, m0, m1);
        return;
      case L.REASON_PAGE_TABLE:
        sink.exitPageTable(this.position(), lo, hi, info, u32[(L.MAILBOX >>> 2) + 2], m0, m1);
        return;
      case L.REASON_INVLPG:
        sink.exit(this.position(), lo, hi, reason, m0, m1);
        return;
      default:
        sink.exit(this.position(), lo, hi, reason, info, 0);
    }
  }

  private drEvent(sink: EventSink, register: number, isWrite: boolean, ripLo: number, ripHi: number): void {
    let value = this.core.big(L.MAILBOX);
    if (!isWrite) {
      // The event of a read comes before the read; 4 and 5 are other names of 6 and 7, whose reserved bits read as ones.
      if (register < 4) value = this.core.big(L.DR0 + register * 8);
      else value = register % 2 === 0 ? this.core.big(L.DR6) | 0xffff0ff0n : this.core.big(L.DR7) | 0x400n;
    }
    sink.exitDr(this.position(), ripLo, ripHi, register, isWrite, 0, Number(value & 0xffffffffn), Number(value >> 32n));
  }

  // ---- inputs ----

  /** Bytes that the serial console would take now. */
  get consoleSpace(): number {
    return this.hypervisor?.consoleSpace ?? this.uart.receiveSpace;
  }
  /** Input for the serial console, at most consoleSpace bytes. Only between runs. Throws when it is refused. */
  receiveConsole(bytes: Uint8Array): void {
    if (this.hypervisor !== undefined) return this.hypervisor.receiveConsole(bytes);
    for (const byte of bytes) if (!this.uart.receive(byte)) throw new Error('the serial console refused a byte that it had room for');
  }
  /** In HLT, until an interrupt comes. */
  get isHalted(): boolean {
    return this.core.u32[L.HALTED >>> 2] !== 0;
  }
  /** The level of an interrupt line of the board, 0 to 15, until its device sets it. Only between runs. */
  setLine(line: number, asserted: boolean): void {
    this.irq(line).set(asserted);
  }
  /** Virtual ns that passed without instructions. */
  get timeOffsetNs(): number {
    return this.core.number(L.TIME_OFFSET);
  }

  // ---- state ----

  /** CPU state in its canonical form: lazy flags are resolved, caches left out. */
  cpuBytes(): Uint8Array {
    return saveCpu(this.core).subarray(0, CPU_DIGEST_BYTES);
  }

  saveDevices(): SavedState {
    const state: Record<string, SavedState> = { timers: this.scheduler.save(), random: this.random.save() };
    for (const device of this.devices) state[device.name] = device.save();
    if (this.hypervisor !== undefined) state[this.hypervisor.name] = this.hypervisor.save();
    state.msrs = this.msrs.save();
    // The local APIC has it, if there is one.
    if (this.cr8 !== 0) state.cpu = { cr8: this.cr8 };
    return state;
  }

  private restoreDevices(state: SavedState): void {
    const part = (name: string): SavedState => {
      const value = state[name];
      if (typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array) throw new TypeError(`the saved state has no "${name}": it is of another machine`);
      return value as SavedState;
    };
    this.scheduler.restore(part('timers'));
    this.random.restore(part('random'));
    for (const device of this.devices) device.restore(part(device.name));
    this.hypervisor?.restore(part(this.hypervisor.name));
    this.msrs.restore(part('msrs'));
    const cr8 = state.cpu === undefined ? 0 : part('cpu').cr8;
    this.cr8 = typeof cr8 === 'number' ? cr8 : 0;
  }

  /** The complete state but RAM, whose pages are those of pageHashes(core). Between runs only; changes nothing. */
  save(): MachineState {
    const { ended } = this;
    return {
      cpu: saveCpu(this.core),
      devices: this.saveDevices(),
      dirtyFrames: saveDirty(this.core),
      ...(this.config.firstWrites === true && { firstWrites: saveFirstWrites(this.core) }),
      ...saveTables(this.core),
      ended: ended === undefined ? undefined : { reason: ended.reason, detail: ended.detail },
    };
  }

  /**
   * The inverse of save(), into any machine of the same configuration and images, whatever it did before. Between runs only. No event is reported.
   * After a throw the machine is in no state: restore another before it runs.
   */
  restore(state: MachineState, pages: RamPages): void {
    restoreRam(this.core, pages, state);
    this.restoreDevices(state.devices);
    restoreCpu(this.core, state.cpu);
    this.ended = state.ended === undefined ? undefined : { kind: 'end', reason: state.ended.reason as EndKind, detail: state.ended.detail };
    this.toldPosition = -1;
    this.accessStop = Infinity;
  }

  /** Hash of the complete machine state: CPU, RAM, devices; 128 bits each and in all, 32 hex digits. */
  digest(): { readonly digest: string; readonly cpu: string; readonly ram: string; readonly devices: string } {
    const hex = (v: bigint): string => v.toString(16).padStart(16, '0');
    const wide = (bytes: Uint8Array, seed: bigint): string => hex(this.hash(bytes, seed)) + hex(this.hash(bytes, seed + 16n));
    const sum = new Uint8Array(8);
    new DataView(sum.buffer).setBigUint64(0, this.ramSum(), true);
    const parts = { cpu: wide(this.cpuBytes(), 1n), ram: wide(sum, 2n), devices: wide(encodeState(this.saveDevices()), 3n) };
    const all = Uint8Array.from(parts.cpu + parts.ram + parts.devices, (c) => c.charCodeAt(0));
    return { digest: wide(all, 4n), ...parts };
  }

  /** Sum of the hashes of all pages of RAM, 64 bits: what digest() says of RAM without the rest. Between runs only. */
  ramSum(): bigint {
    return BigInt.asUintN(64, this.core.exports.hashDirtyPages());
  }

  private hash(bytes: Uint8Array, seed: bigint): bigint {
    // Through a window of the core's memory that nothing else uses.
    const at = HASH_AT;
    let h = seed;
    for (let from = 0; from < bytes.length || from === 0; from += HASH_WINDOW) {
      const part = bytes.subarray(from, from + HASH_WINDOW);
      const padded = (part.length + 7) & ~7;
      this.core.u8.fill(0, at, at + padded + 8);
      this.core.u8.set(part, at);
      h = BigInt.asUintN(64, this.core.exports.hashBytes(at, padded, h + BigInt(part.length)));
    }
    return h;
  }

  /** Tells the log what the CPU has counted, if the configuration wants it. */
  reportCounts(): void {
    if (this.config.counts !== true || this.sink === undefined) return;
    const { kernelInstructions, systemCalls } = this.core.counts();
    this.sink.counts(this.position(), kernelInstructions, systemCalls);
  }

  /** Of the frames dirtied in this epoch, if the configuration wants it. Between runs only; changes nothing. */
  firstWrites(): FirstWrites | undefined {
    if (this.config.firstWrites !== true) return undefined;
    this.core.exports.hashDirtyPages();
    return saveFirstWrites(this.core);
  }

  /** Frames dirtied in this epoch, ascending; the epoch ends. */
  takeDirty(): Uint32Array {
    this.core.exports.hashDirtyPages();
    const count = this.core.u32[L.DIRTY_COUNT >>> 2];
    const frames = this.core.u32.slice(L.DIRTY_LIST >>> 2, (L.DIRTY_LIST >>> 2) + count).sort();
    this.core.exports.newEpoch();
    return frames;
  }
}

const HASH_WINDOW = 65536;
/** Between the block look-up tables and the decoded code; 8 bytes of zeros follow the window. */
const HASH_AT = L.CODE - 2 * HASH_WINDOW;

/** The ACPI tables of a configuration; the boot protocol needs the RSDP's address before the machine exists. */
export function acpiTables(config: MachineConfig): { readonly rsdpAddress: number; readonly tables: readonly AcpiTable[] } {
  return buildAcpiTables({
    virtio: config.virtio.map((_, slot) => ({ mmioBase: VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_LENGTH, mmioLength: VIRTIO_MMIO_LENGTH, gsi: VIRTIO_IRQS[slot] })),
  });
}
