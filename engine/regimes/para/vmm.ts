/**
 * The VMM under a paravirtual guest, in the line of Xen PV (xen/arch/x86/pv): the guest kernel runs at CPL 3 beside its programs, asks by hypercall and is told of traps and events on its stack.
 * The interface is engine/guests/pv-abi.h. The VMM itself is not in the guest's memory: where Xen runs instructions of its own, this acts between two of the guest's, in no virtual time.
 *
 *     program ──SYSCALL, exception, event──► VMM: kernel root, frame on the kernel stack ──► guest kernel
 *        ▲                                                                                     │ VMCALL
 *        └────────────── user root, registers of the frame ◄── HYPERVISOR_iret ◄── VMM ◄───────┘
 */
import * as L from '../../cpu/layout.ts';
import type { SavedState, Timer } from '../../devices/device.ts';
import { savedBoolean, savedNumber, savedNumbers, savedState, savedString } from '../../devices/virtio/saved.ts';
import { EXIT_REASONS, HYPERCALLS, HYPERCALL_REASON, PHASE_INJECTED, PHASE_RAISED } from '../../log/events.ts';
import type { Hypervisor, HypervisorHost } from '../../machine/hypervisor.ts';
import * as A from './abi.ts';
import type { Domain } from './domain.ts';
import { BlockBackend, ConsoleBackend } from './driver-domain.ts';
import { isCanonical, readGuest, writeGuest } from './guest-access.ts';
import { PAGE_BYTES, PageTypes, TYPE_L4, TYPE_WRITABLE } from './page-types.ts';

const RAX = 0, RDX = 2, RCX = 1, RSP = 4, RSI = 6, RDI = 7, R8 = 8, R10 = 10, R11 = 11; // prettier-ignore
const VECTOR_DB = 1, VECTOR_UD = 6, VECTOR_GP = 13, VECTOR_PF = 14; // prettier-ignore
const VECTORS = 256;
const VMCALL_BYTES = 3;
const SYSCALL_BYTES = 2;
const IF = 0x200n;
/** CF PF AF ZF SF TF DF OF RF AC ID: what an iret may set. IF is set anyway, and IOPL, NT and VM are 0. */
const FLAGS_OF_GUEST = 0x250dd5n;
/** TF NT RF VM AC: cleared on the way into the guest kernel, as by an interrupt gate, and by Xen. */
const FLAGS_CLEARED = 0x74100n;
/** Of an error code of #PF. */
const FAULT_USER = 4;
/** Of an error code of #GP, #NP and #TS: the index is that of an IDT gate; and: not by the instruction itself. */
const ERROR_IDT = 2;
const ERROR_EXTERNAL = 1;
const NONE = -1;
const MARK_BYTES_MAX = 255;
const TRAP_BYTES = 16;
/** Of the machine, from which on a hypercall on page tables tells how many tables it validates. */
const REVISION_TABLES = 3;
const TABLES_TOLD_MAX = 0xffff;
/** From which on a multicall does, too, if it is of such hypercalls as make no events. */
const REVISION_TABLES_NESTED = 4;
/** Nothing that these do is an event of the log. */
const SILENT: ReadonlySet<bigint> = new Set([A.HYPERVISOR_set_trap_table, A.HYPERVISOR_mmu_update, A.HYPERVISOR_stack_switch, A.HYPERVISOR_set_callbacks, A.HYPERVISOR_xen_version, A.HYPERVISOR_mmuext_op].map(BigInt));
const UPDATE_BYTES = 16;
const EXTENDED_BYTES = 16;
const CALL_BYTES = 64;

type Port = { readonly kind: 'free' } | { readonly kind: 'timer' } | { readonly kind: 'console' } | { readonly kind: 'block' };
const FREE: Port = { kind: 'free' };
const PORT_KINDS = ['free', 'timer', 'console', 'block'] as const;

/** A gate of the guest's trap table. */
interface Trap {
  readonly address: bigint;
  readonly flags: number;
}

export class Vmm implements Hypervisor {
  readonly name = 'hypervisor';
  readonly types: PageTypes;
  private readonly host: HypervisorHost;
  private readonly domain: Domain;
  private readonly shared: number;
  private readonly console: ConsoleBackend;
  private readonly block: BlockBackend | undefined;
  private readonly timer: Timer;

  // ---- saved ----
  private readonly traps: (Trap | undefined)[] = new Array<Trap | undefined>(VECTORS).fill(undefined);
  private eventCallback = 0n;
  private systemCallback = 0n;
  private kernelStack = 0n;
  /** Frames of the level-4 tables; the user's is NONE until the guest gives one. */
  private kernelRoot: number;
  private userRoot = NONE;
  private isUser = false;
  /** Where the guest kernel was entered last, for the count of its instructions. */
  private kernelSince = 0;
  private ports: Port[] = new Array<Port>(A.PV_PORTS).fill(FREE);
  private wantsAttention = false;

  constructor(host: HypervisorHost, domain: Domain) {
    this.host = host;
    this.domain = domain;
    this.types = new PageTypes(host.core);
    this.shared = domain.sharedInfo * PAGE_BYTES;
    this.kernelRoot = domain.root;
    this.console = new ConsoleBackend(host.core, domain.console, host.report, (byte) => host.console(byte));
    const { block } = domain;
    if ((block === undefined) !== (host.disk === undefined)) throw new Error('the domain was built for another machine: one has a disk');
    this.block = block === undefined || host.disk === undefined ? undefined : new BlockBackend({
      core: host.core, frame: block, types: this.types, timers: host.timers, backing: host.disk, report: host.report, notify: () => this.raiseAll('block'),
    });
    this.timer = host.timers.create('pv-timer', () => this.raiseAll('timer'));
  }

  start(): void {
    const { core } = this.host;
    // No gate, no descriptor: what would use one is a #GP that comes here.
    core.setBig(L.IDTR_BASE, 0n);
    core.u32[L.IDTR_LIMIT >>> 2] = 0;
    if (this.types.pin(this.domain.root, TYPE_L4) !== 0) throw new Error('the domain builder made page tables that are not valid');
    this.holdOwn();
  }

  /** The VMM's own uses of frames, pins excepted. */
  private holdOwn(): void {
    const { sharedInfo, console, block } = this.domain;
    const wanted: [number, number][] = [[this.kernelRoot, TYPE_L4], [sharedInfo, TYPE_WRITABLE], [console, TYPE_WRITABLE]];
    if (this.userRoot !== NONE) wanted.push([this.userRoot, TYPE_L4]);
    if (block !== undefined) wanted.push([block, TYPE_WRITABLE]);
    for (const frame of this.block?.heldFrames ?? []) wanted.push([frame, TYPE_WRITABLE]);
    for (const [frame, type] of wanted) if (this.types.acquire(frame, type) !== 0) throw new Error(`frame ${frame} is not of the type ${type}: the state is of another machine`);
  }

  // ---- hypercalls ----

  hypercall(): void {
    const { core } = this.host;
    if (this.isUser) return this.exception(VECTOR_UD, undefined, 0n);
    this.countKernel();
    const number = this.register(RAX);
    const tell = (qualification: bigint): void => {
      this.host.exit(HYPERCALL_REASON + Number(number < BigInt(HYPERCALLS) ? number : HYPERCALLS - 1), qualification);
      this.host.retire(VMCALL_BYTES);
    };
    const call = (): bigint => BigInt.asUintN(64, BigInt(this.call(number, [RDI, RSI, RDX, R10, R8].map((index) => this.register(index)), false)));
    const [first, second] = [this.register(RDI), this.register(RSI)];
    const qualification = this.qualification(number, first, second);
    this.types.renewChecks();
    if (number === BigInt(A.HYPERVISOR_iret)) {
      tell(qualification);
      this.iret();
    } else if (this.tellsTables(number) || this.tellsNestedTables(number, first, second)) {
      // Nothing that these do is an event, so the log has the hypercall first all the same.
      const result = call();
      tell(qualification | BigInt(Math.min(this.types.validated, TABLES_TOLD_MAX) << 16 >>> 0));
      core.setBig(L.REGS, result);
    } else {
      tell(qualification);
      core.setBig(L.REGS, call());
    }
    this.deliverIfDue();
  }

  private tellsTables(number: bigint): boolean {
    return this.host.revision >= REVISION_TABLES && (number === BigInt(A.HYPERVISOR_mmu_update) || number === BigInt(A.HYPERVISOR_mmuext_op));
  }

  /** A multicall with one that makes events must be in the log before them, when nobody knows yet how many tables it will validate. */
  private tellsNestedTables(number: bigint, list: bigint, count: bigint): boolean {
    return this.host.revision >= REVISION_TABLES_NESTED && number === BigInt(A.HYPERVISOR_multicall) && this.callsIn(list, count).every((entry) => entry === undefined || SILENT.has(entry.getBigUint64(0, true)));
  }

  /** The entries of a multicall, undefined where they are out of reach; none if there are too many. */
  private callsIn(list: bigint, count: bigint): (DataView | undefined)[] {
    return Array.from({ length: count > BigInt(A.PV_MULTICALLS_MAX) ? 0 : Number(count) }, (_, i) => this.read(list + BigInt(i * CALL_BYTES), CALL_BYTES));
  }

  /** What the log says of a hypercall beside its number: HYPERCALL_REASON. */
  private qualification(number: bigint, a: bigint, b: bigint): bigint {
    switch (Number(number > 63n ? 63n : number)) {
      case A.HYPERVISOR_mmu_update:
        return b > BigInt(A.PV_MMU_UPDATES_MAX) ? 0n : b;
      case A.HYPERVISOR_mmuext_op:
        if (b > BigInt(A.PV_MMU_UPDATES_MAX)) return 0n;
        return this.tellsTables(number) ? b : b | (this.pinsIn(a, Number(b)) << 16n);
      case A.HYPERVISOR_multicall: {
        let operations = 0n;
        for (const entry of this.callsIn(a, b)) {
          if (entry?.getBigUint64(0, true) === BigInt(A.HYPERVISOR_mmu_update)) operations += this.qualification(BigInt(A.HYPERVISOR_mmu_update), 0n, entry.getBigUint64(24, true));
        }
        return operations;
      }
      case A.HYPERVISOR_sched_op:
      case A.HYPERVISOR_event_channel_op:
        return a > 63n ? 63n : a;
      default:
        return 0n;
    }
  }

  private pinsIn(array: bigint, count: number): bigint {
    let pins = 0n;
    for (let i = 0; i < count; i++) {
      const operation = this.read(array + BigInt(i * EXTENDED_BYTES), EXTENDED_BYTES)?.getUint32(0, true);
      if (operation !== undefined && operation >= A.MMUEXT_PIN_L1_TABLE && operation <= A.MMUEXT_PIN_L4_TABLE) pins++;
    }
    return pins;
  }

  /** One hypercall of the guest kernel but iret: its result. */
  call(number: bigint, [a = 0n, b = 0n, c = 0n]: readonly bigint[], isNested: boolean): number {
    switch (Number(number > 63n ? 63n : number)) {
      case A.HYPERVISOR_set_trap_table:
        return this.setTrapTable(a);
      case A.HYPERVISOR_mmu_update:
        return this.batch(a, b, c, A.PV_MMU_UPDATES_MAX, UPDATE_BYTES, (entry) => this.mmuUpdate(entry));
      case A.HYPERVISOR_stack_switch:
        if (!isCanonical(b)) return -A.PV_EINVAL;
        this.kernelStack = b;
        return 0;
      case A.HYPERVISOR_set_callbacks:
        if (!isCanonical(a) || !isCanonical(c)) return -A.PV_EINVAL;
        this.eventCallback = a;
        this.systemCallback = c;
        return 0;
      case A.HYPERVISOR_multicall:
        return isNested ? -A.PV_EINVAL : this.multicall(a, b);
      case A.HYPERVISOR_set_timer_op:
        if (a === 0n) this.timer.cancel();
        else this.timer.arm(a > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(a));
        return 0;
      case A.HYPERVISOR_xen_version:
        return A.PV_VERSION << 16;
      case A.HYPERVISOR_mmuext_op:
        return this.batch(a, b, c, A.PV_MMU_UPDATES_MAX, EXTENDED_BYTES, (entry) => this.mmuExtended(entry));
      case A.HYPERVISOR_sched_op:
        return this.sched(a, b);
      case A.HYPERVISOR_event_channel_op:
        return this.eventChannel(a, b);
      case A.HYPERVISOR_mark:
        return this.mark(a);
      default:
        return -A.PV_ENOSYS;
    }
  }

  private setTrapTable(table: bigint): number {
    const traps: [number, Trap][] = [];
    for (let i = 0; ; i++) {
      if (i > VECTORS) return -A.PV_EINVAL;
      const entry = this.read(table + BigInt(i * TRAP_BYTES), TRAP_BYTES);
      if (entry === undefined) return -A.PV_EFAULT;
      const address = entry.getBigUint64(8, true);
      if (address === 0n) break;
      if (!isCanonical(address)) return -A.PV_EINVAL;
      traps.push([entry.getUint8(0), { address, flags: entry.getUint8(1) }]);
    }
    for (const [vector, trap] of traps) this.traps[vector] = trap;
    return 0;
  }

  /** An array of operations, in order, up to the first that is refused. `done` gets their number. */
  private batch(array: bigint, count: bigint, done: bigint, countMax: number, entryBytes: number, operation: (entry: DataView) => number): number {
    if (count > BigInt(countMax)) return -A.PV_EINVAL;
    let error = 0;
    let i = 0;
    for (; i < Number(count); i++) {
      const entry = this.read(array + BigInt(i * entryBytes), entryBytes);
      error = entry === undefined ? -A.PV_EFAULT : operation(entry);
      if (error !== 0) break;
    }
    if (done !== 0n && !this.write(done, Uint8Array.of(i & 0xff, i >> 8, 0, 0))) return -A.PV_EFAULT;
    return error;
  }

  private mmuUpdate(entry: DataView): number {
    const pointer = entry.getBigUint64(0, true);
    const command = Number(pointer & 7n);
    if (command !== A.MMU_NORMAL_PT_UPDATE && command !== A.MMU_PT_UPDATE_PRESERVE_AD) return -A.PV_ENOSYS;
    const address = pointer & ~7n;
    if (address >= BigInt(this.host.core.ramBytes)) return -A.PV_EINVAL;
    return this.types.update(Number(address), entry.getBigUint64(8, true), command === A.MMU_PT_UPDATE_PRESERVE_AD);
  }

  private mmuExtended(entry: DataView): number {
    const { core } = this.host;
    const operation = entry.getUint32(0, true);
    const argument = entry.getBigUint64(8, true);
    const frame = argument < BigInt(this.types.frames) ? Number(argument) : this.types.frames;
    switch (operation) {
      case A.MMUEXT_PIN_L1_TABLE:
      case A.MMUEXT_PIN_L2_TABLE:
      case A.MMUEXT_PIN_L3_TABLE:
      case A.MMUEXT_PIN_L4_TABLE:
        return this.types.pin(frame, operation - A.MMUEXT_PIN_L1_TABLE + 1);
      case A.MMUEXT_UNPIN_TABLE:
        return this.types.unpin(frame);
      case A.MMUEXT_NEW_BASEPTR: {
        const error = this.acquireRoot(frame);
        if (error !== 0) return error;
        this.types.release(this.kernelRoot);
        this.kernelRoot = frame;
        this.loadRoot(frame);
        return 0;
      }
      case A.MMUEXT_NEW_USER_BASEPTR: {
        const error = argument === 0n ? 0 : this.acquireRoot(frame);
        if (error !== 0) return error;
        if (this.userRoot !== NONE) this.types.release(this.userRoot);
        this.userRoot = argument === 0n ? NONE : frame;
        return 0;
      }
      case A.MMUEXT_TLB_FLUSH_LOCAL:
        core.exports.tlbFlushAll();
        return 0;
      // The core's TLB never holds what the tables do not (engine/cpu/README.md, decision 1).
      case A.MMUEXT_INVLPG_LOCAL:
        return 0;
      default:
        return -A.PV_ENOSYS;
    }
  }

  /** A root is a level-4 table already: Xen would validate it here, which hides a forgotten pin. */
  private acquireRoot(frame: number): number {
    if (frame >= this.types.frames || this.types.typeOf(frame) !== TYPE_L4) return -A.PV_EINVAL;
    return this.types.acquire(frame, TYPE_L4);
  }

  private loadRoot(frame: number): void {
    const { core } = this.host;
    core.setBig(L.CR3, BigInt(frame * PAGE_BYTES));
    core.exports.tlbFlushAll();
  }

  private multicall(list: bigint, count: bigint): number {
    if (count > BigInt(A.PV_MULTICALLS_MAX)) return -A.PV_EINVAL;
    // What was looked at to tell of it is what is done, even if an mmu_update changes the list.
    const told = this.host.revision >= REVISION_TABLES_NESTED ? this.callsIn(list, count) : undefined;
    for (let i = 0; i < Number(count); i++) {
      const at = list + BigInt(i * CALL_BYTES);
      const entry = told === undefined ? this.read(at, CALL_BYTES) : told[i];
      if (entry === undefined) return -A.PV_EFAULT;
      const operation = entry.getBigUint64(0, true);
      const result = this.call(operation, [0, 1, 2, 3, 4].map((n) => entry.getBigUint64(16 + 8 * n, true)), true);
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigInt64(0, BigInt(result), true);
      if (!this.write(at + 8n, bytes)) return -A.PV_EFAULT;
    }
    return 0;
  }

  private sched(operation: bigint, argument: bigint): number {
    switch (Number(operation > 63n ? 63n : operation)) {
      case A.SCHEDOP_yield:
        return 0;
      case A.SCHEDOP_block:
        this.setShared8(A.SHARED_UPCALL_MASK, 0);
        if (this.shared8(A.SHARED_UPCALL_PENDING) === 0) this.host.core.u32[L.HALTED >>> 2] = 1;
        return 0;
      case A.SCHEDOP_shutdown: {
        const shutdown = this.read(argument, 8);
        if (shutdown === undefined) return -A.PV_EFAULT;
        const code = shutdown.getUint32(4, true) & 0xff;
        switch (shutdown.getUint32(0, true)) {
          case A.SHUTDOWN_poweroff:
            // As the debug-exit port has it, so that a run ends the same way under every regime.
            this.host.end('debug-exit', String((code << 1) | 1));
            return 0;
          case A.SHUTDOWN_reboot:
            this.host.end('reset', 'the guest asked for a reboot (SHUTDOWN_reboot)');
            return 0;
          case A.SHUTDOWN_crash:
            this.crash('the guest said so (SHUTDOWN_crash)');
            return 0;
          default:
            return -A.PV_EINVAL;
        }
      }
      default:
        return -A.PV_ENOSYS;
    }
  }

  private mark(text: bigint): number {
    let name = '';
    for (let i = 0; i <= MARK_BYTES_MAX; i++) {
      const byte = this.read(text + BigInt(i), 1);
      if (byte === undefined) return -A.PV_EFAULT;
      if (byte.getUint8(0) === 0) {
        this.host.mark(name);
        return 0;
      }
      name += String.fromCharCode(byte.getUint8(0));
    }
    return -A.PV_EINVAL;
  }

  /** struct pv_iret at RSP. */
  private iret(): void {
    const { core } = this.host;
    const frame = this.read(this.register(RSP), 64);
    if (frame === undefined) return this.crash(`no frame for an iret at rsp 0x${this.register(RSP).toString(16)}`);
    const word = (n: number): bigint => frame.getBigUint64(8 * n, true);
    const rip = word(3);
    const cs = word(4) & 0xffffn;
    const flags = word(5);
    if (cs !== BigInt(A.PV_CS_USER) && cs !== BigInt(A.PV_CS_KERNEL)) return this.crash(`iret to code segment 0x${cs.toString(16)}`);
    if (!isCanonical(rip)) return this.crash(`iret to rip 0x${rip.toString(16)}`);
    if (cs === BigInt(A.PV_CS_USER)) {
      if (this.userRoot === NONE) return this.crash('iret to user mode without a user base pointer');
      this.isUser = true;
      this.loadRoot(this.userRoot);
    }
    this.setRegister(RAX, word(0));
    core.setBig(L.RIP, rip);
    this.setRegister(RSP, word(6));
    core.exports.setFlags((flags & FLAGS_OF_GUEST) | IF | 2n);
    this.setShared8(A.SHARED_UPCALL_MASK, (flags & IF) === 0n ? 1 : 0);
  }

  // ---- traps ----

  exception(vector: number, error: number | undefined, address: bigint): void {
    const { host } = this;
    this.countKernel();
    if (vector === VECTOR_UD && this.isUser && this.isSystemCall()) return this.systemCall();
    host.exitException(vector, error, address);
    if (vector === VECTOR_GP && error !== undefined && (error & ERROR_IDT) !== 0 && (error & ERROR_EXTERNAL) === 0 && this.softwareInterrupt(error >>> 3)) return;
    let code = error;
    if (vector === VECTOR_PF && code !== undefined) {
      code = this.isUser ? code | FAULT_USER : code & ~FAULT_USER;
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, address, true);
      host.core.writePhysical(this.shared + A.SHARED_CR2, bytes);
    }
    this.bounce(vector, code);
  }

  private bounce(vector: number, error: number | undefined): void {
    const trap = this.traps[vector];
    if (trap === undefined) return this.crash(`no handler for exception ${vector} at rip 0x${this.host.core.big(L.RIP).toString(16)}`);
    this.enter(trap.address, error, (trap.flags & A.PV_TRAP_MASKS) !== 0);
  }

  /** SYSCALL is off (EFER.SCE), so it comes as #UD. */
  private isSystemCall(): boolean {
    const { core } = this.host;
    const code = readGuest(core, this.userRoot, core.big(L.RIP), SYSCALL_BYTES);
    return code !== undefined && code[0] === 0x0f && code[1] === 0x05;
  }

  private systemCall(): void {
    const { core } = this.host;
    this.host.exit(EXIT_REASONS.paravirtualSystemCall, this.register(RAX));
    core.setNumber(L.SYSTEM_CALLS, core.number(L.SYSTEM_CALLS) + 1);
    this.host.retire(SYSCALL_BYTES);
    if (this.systemCallback === 0n) return this.crash('a system call, but no callback for it');
    this.setRegister(RCX, core.big(L.RIP));
    this.setRegister(R11, core.exports.getFlags());
    this.enter(this.systemCallback, undefined, true);
  }

  /** INT n, INT3 and INTO find no gate; programs may use those that the guest opened to them. */
  private softwareInterrupt(vector: number): boolean {
    const { core } = this.host;
    const code = readGuest(core, this.isUser ? this.userRoot : this.kernelRoot, core.big(L.RIP), 2) ?? new Uint8Array(2);
    const length = code[0] === 0xcd && code[1] === vector ? 2 : (code[0] === 0xcc && vector === 3) || (code[0] === 0xf1 && vector === VECTOR_DB) ? 1 : 0;
    const trap = this.traps[vector];
    if (length === 0 || trap === undefined || (this.isUser && (trap.flags & A.PV_TRAP_DPL) !== A.PV_TRAP_DPL)) return false;
    this.host.retire(length);
    this.enter(trap.address, undefined, (trap.flags & A.PV_TRAP_MASKS) !== 0);
    return true;
  }

  /** Goes on in the guest kernel at `handler`, with what was interrupted on its stack. */
  private enter(handler: bigint, error: number | undefined, masks: boolean): void {
    const { core } = this.host;
    const wasUser = this.isUser;
    const flags = core.exports.getFlags();
    const isMasked = this.shared8(A.SHARED_UPCALL_MASK) !== 0;
    const words = [core.big(L.RIP), BigInt(wasUser ? A.PV_CS_USER : A.PV_CS_KERNEL), (flags & ~IF) | (isMasked ? 0n : IF), this.register(RSP), BigInt(A.PV_SS)];
    if (error !== undefined) words.unshift(BigInt(error));
    const top = (wasUser ? this.kernelStack : this.register(RSP)) & ~15n;
    const rsp = BigInt.asUintN(64, top - BigInt(words.length * 8));
    const bytes = new Uint8Array(words.length * 8);
    const view = new DataView(bytes.buffer);
    words.forEach((word, i) => view.setBigUint64(8 * i, word, true));
    if (!writeGuest(core, this.kernelRoot, rsp, bytes)) return this.crash(`its stack at rsp 0x${top.toString(16)} cannot be written (trap at rip 0x${words[error === undefined ? 0 : 1].toString(16)})`);
    if (wasUser) {
      this.isUser = false;
      this.kernelSince = this.position();
      this.loadRoot(this.kernelRoot);
    }
    this.setRegister(RSP, rsp);
    core.setBig(L.RIP, handler);
    core.exports.setFlags((flags & ~FLAGS_CLEARED) | IF);
    core.u32[L.HALTED >>> 2] = 0;
    if (masks) this.setShared8(A.SHARED_UPCALL_MASK, 1);
  }

  private crash(why: string): void {
    this.host.end('triple-fault', `of a domain: ${why}`);
  }

  // ---- events ----

  private eventChannel(operation: bigint, argument: bigint): number {
    const command = Number(operation > 63n ? 63n : operation);
    if (command === A.EVTCHNOP_bind_interdomain || command === A.EVTCHNOP_bind_virq) {
      const bind = this.read(argument, 8);
      if (bind === undefined) return -A.PV_EFAULT;
      const from = bind.getUint32(0, true);
      const kind = command === A.EVTCHNOP_bind_virq ? (from === A.VIRQ_TIMER ? 'timer' : undefined) : from === A.PV_PORT_CONSOLE ? 'console' : from === A.PV_PORT_BLOCK && this.block !== undefined ? 'block' : undefined;
      if (kind === undefined) return -A.PV_ENOENT;
      // Port 0 is never given out, as in Xen.
      const port = this.ports.findIndex((each, number) => number > 0 && each.kind === 'free');
      if (port < 0) return -A.PV_ENOSPC;
      if (!this.write(argument + 4n, Uint8Array.of(port, 0, 0, 0))) return -A.PV_EFAULT;
      this.ports[port] = { kind };
      return 0;
    }
    const data = this.read(argument, 4);
    if (data === undefined) return -A.PV_EFAULT;
    const port = data.getUint32(0, true);
    if (port === 0 || port >= A.PV_PORTS) return -A.PV_EINVAL;
    switch (command) {
      case A.EVTCHNOP_close:
        if (this.ports[port].kind === 'free') return -A.PV_EINVAL;
        this.ports[port] = FREE;
        return 0;
      case A.EVTCHNOP_send:
        switch (this.ports[port].kind) {
          case 'console':
            this.console.drain();
            return 0;
          case 'block':
            this.block!.take();
            return 0;
          default:
            return -A.PV_EINVAL;
        }
      case A.EVTCHNOP_unmask: {
        const mask = this.shared64(A.SHARED_MASK) & ~(1n << BigInt(port));
        this.setShared64(A.SHARED_MASK, mask);
        if ((this.shared64(A.SHARED_PENDING) & ~mask) !== 0n) this.makeDue();
        return 0;
      }
      default:
        return -A.PV_ENOSYS;
    }
  }

  private raiseAll(kind: Port['kind']): void {
    this.ports.forEach((port, number) => {
      if (port.kind !== kind) return;
      const pending = this.shared64(A.SHARED_PENDING);
      const bit = 1n << BigInt(number);
      if ((pending & bit) !== 0n) return;
      this.host.event(PHASE_RAISED, number);
      this.setShared64(A.SHARED_PENDING, pending | bit);
      if ((this.shared64(A.SHARED_MASK) & bit) === 0n) this.makeDue();
    });
  }

  /** The event callback is due as soon as it is not masked. */
  private makeDue(): void {
    this.setShared64(A.SHARED_PENDING_SELECT, this.shared64(A.SHARED_PENDING_SELECT) | 1n);
    this.setShared8(A.SHARED_UPCALL_PENDING, 1);
    this.setAttention(true);
  }

  private deliverIfDue(): void {
    if (this.shared8(A.SHARED_UPCALL_PENDING) !== 0 && this.shared8(A.SHARED_UPCALL_MASK) === 0) this.setAttention(true);
  }

  attend(): void {
    this.setAttention(false);
    // Masked: the guest will see upcall_pending when it unmasks.
    if (this.shared8(A.SHARED_UPCALL_PENDING) === 0 || this.shared8(A.SHARED_UPCALL_MASK) !== 0 || this.eventCallback === 0n) return;
    this.countKernel();
    this.host.event(PHASE_INJECTED, NONE);
    this.enter(this.eventCallback, undefined, true);
  }

  private setAttention(wanted: boolean): void {
    this.wantsAttention = wanted;
    this.host.setAttention(wanted);
  }

  get consoleSpace(): number {
    return this.console.space;
  }
  receiveConsole(bytes: Uint8Array): void {
    this.console.receive(bytes);
    this.raiseAll('console');
  }

  // ---- small things ----

  private register(index: number): bigint {
    return this.host.core.big(L.REGS + index * 8);
  }
  private setRegister(index: number, value: bigint): void {
    this.host.core.setBig(L.REGS + index * 8, value);
  }
  private read(va: bigint, length: number): DataView | undefined {
    const bytes = readGuest(this.host.core, this.kernelRoot, BigInt.asUintN(64, va), length);
    return bytes === undefined ? undefined : new DataView(bytes.buffer);
  }
  private write(va: bigint, bytes: Uint8Array): boolean {
    return writeGuest(this.host.core, this.kernelRoot, BigInt.asUintN(64, va), bytes);
  }
  private shared8(offset: number): number {
    return this.host.core.u8[L.RAM + this.shared + offset];
  }
  private setShared8(offset: number, value: number): void {
    this.host.core.writePhysical(this.shared + offset, Uint8Array.of(value));
  }
  private shared64(offset: number): bigint {
    return this.host.core.big(L.RAM + this.shared + offset);
  }
  private setShared64(offset: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.host.core.writePhysical(this.shared + offset, bytes);
  }
  private position(): number {
    return this.host.core.number(L.ICOUNT);
  }
  /** The CPU counts by CPL, which is 3 for both; the kernel's part is known here. */
  private countKernel(): void {
    if (this.isUser) return;
    const { core } = this.host;
    core.setNumber(L.KERNEL_INSTRUCTIONS, core.number(L.KERNEL_INSTRUCTIONS) + this.position() - this.kernelSince);
    this.kernelSince = this.position();
  }
  /** A program runs, not its kernel. */
  get isProgram(): boolean {
    return this.isUser;
  }

  save(): SavedState {
    const hex = (value: bigint): string => value.toString(16);
    const traps: Record<string, SavedState> = {};
    this.traps.forEach((trap, vector) => {
      if (trap !== undefined) traps[vector] = { address: hex(trap.address), flags: trap.flags };
    });
    return {
      traps,
      eventCallback: hex(this.eventCallback),
      systemCallback: hex(this.systemCallback),
      kernelStack: hex(this.kernelStack),
      kernelRoot: this.kernelRoot,
      userRoot: this.userRoot,
      isUser: this.isUser,
      kernelSince: this.kernelSince,
      ports: this.ports.map(({ kind }) => PORT_KINDS.indexOf(kind)),
      wantsAttention: this.wantsAttention,
      pins: this.types.pinned.flatMap((frame) => [frame, this.types.typeOf(frame)]),
      console: this.console.save(),
      ...(this.block !== undefined && { block: this.block.save() }),
    };
  }

  restore(state: SavedState): void {
    const big = (value: string): bigint => BigInt(`0x${value}`);
    const traps = savedState(state, 'traps');
    this.traps.fill(undefined);
    for (const vector of Object.keys(traps)) {
      const trap = savedState(traps, vector);
      this.traps[Number(vector)] = { address: big(savedString(trap, 'address')), flags: savedNumber(trap, 'flags') };
    }
    this.eventCallback = big(savedString(state, 'eventCallback'));
    this.systemCallback = big(savedString(state, 'systemCallback'));
    this.kernelStack = big(savedString(state, 'kernelStack'));
    this.kernelRoot = savedNumber(state, 'kernelRoot');
    this.userRoot = savedNumber(state, 'userRoot');
    this.isUser = savedBoolean(state, 'isUser');
    this.kernelSince = savedNumber(state, 'kernelSince');
    this.ports = savedNumbers(state, 'ports').map((kind) => ({ kind: PORT_KINDS[kind] }));
    this.console.restore(savedState(state, 'console'));
    if (this.block !== undefined) this.block.restore(savedState(state, 'block'));
    this.setAttention(savedBoolean(state, 'wantsAttention'));
    // All other uses of frames follow from these.
    this.types.clear();
    const pins = savedNumbers(state, 'pins');
    for (let i = 0; i < pins.length; i += 2) if (this.types.pin(pins[i], pins[i + 1]) !== 0) throw new Error(`frame ${pins[i]} is no page table of level ${pins[i + 1]}: the state is of another machine`);
    this.holdOwn();
  }
}
