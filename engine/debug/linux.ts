/**
 * What a debugger can tell of a Linux guest: the task that runs, and system calls by name.
 *
 * The kernel's image is where its banner is, so its variables are read from physical memory, whichever page tables are in use (those of a process, with page-table
 * isolation, do not have them). The rest of its memory is read by the CPU's page tables or, where these do not have it, by the kernel's own (init_top_pgt).
 *
 * The task is where the per-CPU variable `current_task` of CPU 0 points to: __per_cpu_offset[0] is what GS holds while the kernel runs, in user mode and before
 * SWAPGS, too. Its members are where the kernel's BTF says, or else where several tasks agree that they are (findMembers()).
 */
import * as L from '../cpu/layout.ts';
import type { Machine } from '../machine/machine.ts';
import type { GuestSymbols } from './guest-symbols.ts';
import { readLinear, translate } from './inspect.ts';
import { memberOffsets } from './linux-btf.ts';
import type { SymbolTable } from './symbols.ts';

export { syscallName } from './linux-syscalls.ts';

export interface LinuxTask {
  /** The kernel's pid, which is a thread's. */
  readonly pid: number;
  /** What user space calls the process's pid. */
  readonly tgid: number;
  readonly comm: string;
  /** Of its task_struct. */
  readonly address: bigint;
}

/** Where the members of task_struct are, bytes. */
export interface TaskMembers {
  readonly pid: number;
  readonly tgid: number;
  readonly comm: number;
}

/** What is the same over a whole recording. */
export interface LinuxKernel {
  /** Virtual minus physical address of the kernel's image. */
  readonly imageOffset: bigint;
  /** Undefined if nothing told. */
  readonly members: TaskMembers | undefined;
}

const CR0_PG = 0x8000_0000;
const EFER_LMA = 0x400;
const COMM_BYTES = 16;
const BANNER = 'Linux version ';
/** Alignment of the kernel's image in physical and in virtual memory: CONFIG_PHYSICAL_ALIGN is at least this on x86-64. */
const IMAGE_ALIGN = 0x20_0000;
const BTF_BYTES_MAX = 64 << 20;
const TASK_BYTES_MAX = 32 << 10;
const TASKS_MAX = 1 << 15;
/** Tasks besides the first that must agree. */
const TASKS_MIN = 3;
const PID_MAX = 1 << 22;

/** The task that runs at the machine's position. Undefined: no Linux, too early, or not decidable. */
export function currentTask(machine: Machine, { table, linux }: GuestSymbols): LinuxTask | undefined {
  if (linux === undefined) return undefined;
  const memory = new KernelMemory(machine, table, linux.imageOffset);
  if (!memory.hasBanner()) return undefined;
  // 6.2 to 6.14 keep it at the beginning of a structure: arch/x86/include/asm/current.h.
  const variable = table.addressOf('current_task') ?? table.addressOf('pcpu_hot');
  if (variable === undefined) return undefined;
  // Without SMP there is one of each variable.
  const offsets = table.addressOf('__per_cpu_offset');
  const offset = offsets === undefined ? 0n : memory.u64(offsets);
  const address = offset === undefined ? undefined : memory.u64(BigInt.asUintN(64, variable + offset));
  if (address === undefined || !isKernel(address)) return undefined;
  // The first task is part of the image. It is there from the beginning and has no pid of its own.
  if (address === table.addressOf('init_task') && linux.members === undefined) return { pid: 0, tgid: 0, comm: 'swapper', address };
  if (linux.members === undefined) return undefined;
  const { pid, tgid, comm } = linux.members;
  const name = memory.comm(address + BigInt(comm));
  const own = memory.u32(address + BigInt(pid));
  const group = memory.u32(address + BigInt(tgid));
  if (name === undefined || own === undefined || group === undefined || own >= PID_MAX || group >= PID_MAX) return undefined;
  return { pid: own, tgid: group, comm: name, address };
}

/** Where the pointer to the running task is, guest-physical, once the kernel has set up its per-CPU variables: who watches it sees every switch. Undefined: no Linux, or too early. */
export function currentTaskPlace(machine: Machine, { table, linux }: GuestSymbols): number | undefined {
  const variable = table.addressOf('current_task') ?? table.addressOf('pcpu_hot');
  if (linux === undefined || variable === undefined) return undefined;
  const memory = new KernelMemory(machine, table, linux.imageOffset);
  const offsets = table.addressOf('__per_cpu_offset');
  const offset = offsets === undefined ? 0n : memory.u64(offsets);
  return !memory.hasBanner() || offset === undefined ? undefined : memory.placeOf(BigInt.asUintN(64, variable + offset));
}

/** What a machine's memory tells of the Linux kernel that has these symbols. Undefined: it is not there, or not yet, or elsewhere. Changes nothing. */
export function findKernel(machine: Machine, table: SymbolTable): LinuxKernel | undefined {
  const banner = table.addressOf('linux_banner');
  if (banner === undefined) return undefined;
  for (let paddr = Number(banner & BigInt(IMAGE_ALIGN - 1)); paddr + BANNER.length <= machine.core.ramBytes; paddr += IMAGE_ALIGN) {
    const memory = new KernelMemory(machine, table, banner - BigInt(paddr));
    if (!memory.hasBanner()) continue;
    // A kernel that is unpacked may yet be moved, and its addresses with it: what counts is what is mapped. Without paging nobody will move it.
    if (memory.isPaged() && memory.mapped(banner) !== paddr) continue;
    return { imageOffset: memory.imageOffset, members: memory.membersByBtf() ?? memory.membersByStructure() };
  }
  return undefined;
}

function isKernel(address: bigint): boolean {
  return address >= 0xffff_8000_0000_0000n;
}

class KernelMemory {
  readonly imageOffset: bigint;
  private readonly machine: Machine;
  private readonly table: SymbolTable;
  private readonly from: bigint;
  private readonly to: bigint;

  constructor(machine: Machine, table: SymbolTable, imageOffset: bigint) {
    this.machine = machine;
    this.table = table;
    this.imageOffset = imageOffset;
    this.from = table.addressOf('_text') ?? table.addressOf('_stext') ?? imageOffset;
    this.to = table.addressOf('_end') ?? table.addressOf('__bss_stop') ?? this.from + (1n << 30n);
  }

  hasBanner(): boolean {
    const banner = this.table.addressOf('linux_banner');
    if (banner === undefined) return false;
    const bytes = this.image(banner, BANNER.length);
    return bytes !== undefined && latin(bytes) === BANNER;
  }

  isPaged(): boolean {
    const { core } = this.machine;
    return (core.u32[L.CR0 >>> 2] & CR0_PG) !== 0 && (core.u32[L.EFER >>> 2] & EFER_LMA) !== 0;
  }

  /** Physical address of a variable, in the image or mapped. */
  placeOf(address: bigint): number | undefined {
    return address >= this.from && address < this.to ? Number(address - this.imageOffset) : this.mapped(address);
  }

  /** Physical address: by the page tables of the CPU, or those of the kernel. */
  mapped(address: bigint): number | undefined {
    return this.isPaged() ? (translate(this.machine, address) ?? this.walk(address)) : undefined;
  }

  u32(address: bigint): number | undefined {
    const bytes = this.read(address, 4);
    return bytes === undefined ? undefined : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  }
  u64(address: bigint): bigint | undefined {
    const bytes = this.read(address, 8);
    return bytes === undefined ? undefined : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  }
  /** A task's name; undefined if it cannot be one. */
  comm(address: bigint): string | undefined {
    const bytes = this.read(address, COMM_BYTES);
    const end = bytes?.indexOf(0) ?? -1;
    if (bytes === undefined || end <= 0) return undefined;
    const text = bytes.subarray(0, end);
    return text.every((byte) => byte >= 0x20 && byte !== 0x7f) ? new TextDecoder().decode(text) : undefined;
  }

  membersByBtf(): TaskMembers | undefined {
    const from = this.table.addressOf('__start_BTF');
    const to = this.table.addressOf('__stop_BTF');
    if (from === undefined || to === undefined || to <= from || to - from > BigInt(BTF_BYTES_MAX)) return undefined;
    const btf = this.image(from, Number(to - from));
    return btf === undefined ? undefined : memberOffsets(btf, 'task_struct', ['pid', 'tgid', 'comm']);
  }

  /**
   * From the tasks themselves. The first one is a variable, and its name begins with "swapper"; the list of all tasks is that of its pairs of pointers which lead
   * through tasks with names and back; the pids are the pair of numbers, pid before tgid as in include/linux/sched.h, that is 0 and 0 in the first task, and in
   * the others, which are all leaders of their group, twice the same number, another one for each, 1 among them. Undefined unless exactly one place is so.
   */
  membersByStructure(): TaskMembers | undefined {
    const first = this.table.addressOf('init_task');
    if (first === undefined || !this.isPaged()) return undefined;
    const bytes = this.readAll(first, TASK_BYTES_MAX);
    const text = latin(bytes);
    const comm = ['swapper/0\0', 'swapper\0'].map((name) => text.indexOf(name)).find((at) => at >= 0);
    if (comm === undefined) return undefined;
    const tasks = this.allTasks(first, comm);
    if (tasks === undefined || tasks.length < TASKS_MIN) return undefined;
    const pids: number[] = [];
    const others = tasks.map((task) => this.readAll(task, comm));
    const word = (task: Uint8Array, at: number): number => (task.length < at + 4 ? -1 : task[at] | (task[at + 1] << 8) | (task[at + 2] << 16) | (task[at + 3] << 24));
    for (let at = 0; at + 8 <= comm; at += 4) {
      if (word(bytes, at) !== 0 || word(bytes, at + 4) !== 0) continue;
      const found = others.map((task) => (word(task, at) === word(task, at + 4) ? word(task, at) : 0));
      if (found.every((pid) => pid > 0 && pid < PID_MAX) && found.includes(1) && new Set(found).size === found.length) pids.push(at);
    }
    return pids.length === 1 ? { pid: pids[0], tgid: pids[0] + 4, comm } : undefined;
  }

  /** All but the first, by the list that runs through them. */
  private allTasks(first: bigint, comm: number): readonly bigint[] | undefined {
    for (let list = 0; list < comm; list += 8) {
      const head = first + BigInt(list);
      const tasks: bigint[] = [];
      let last = head;
      let node = this.u64(head);
      while (node !== undefined && isKernel(node) && node !== head && tasks.length < TASKS_MAX && this.u64(node + 8n) === last && this.comm(node - BigInt(list) + BigInt(comm)) !== undefined) {
        tasks.push(node - BigInt(list));
        last = node;
        node = this.u64(node);
      }
      if (node === head && tasks.length > 0 && this.u64(head + 8n) === last) return tasks;
    }
    return undefined;
  }

  private read(address: bigint, length: number): Uint8Array | undefined {
    const bytes = this.readAll(address, length);
    return bytes.length === length ? bytes : undefined;
  }

  /** Up to what is not there. */
  private readAll(address: bigint, length: number): Uint8Array {
    const inImage = this.image(address, length);
    if (inImage !== undefined) return inImage;
    if (!this.isPaged()) return new Uint8Array(0);
    const mapped = readLinear(this.machine, address, length);
    if (mapped.length === length) return mapped;
    const out = new Uint8Array(length);
    const { core } = this.machine;
    let done = 0;
    while (done < length) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const part = Math.min(length - done, 4096 - Number(at & 0xfffn));
      const paddr = this.mapped(at);
      if (paddr === undefined || paddr + part > core.ramBytes) break;
      out.set(core.readPhysical(paddr, part), done);
      done += part;
    }
    return out.subarray(0, done);
  }

  /** Of the kernel's image; undefined if it is not all there. */
  private image(address: bigint, length: number): Uint8Array | undefined {
    if (address < this.from || address + BigInt(length) > this.to) return undefined;
    const paddr = Number(address - this.imageOffset);
    return paddr >= 0 && paddr + length <= this.machine.core.ramBytes ? this.machine.core.readPhysical(paddr, length) : undefined;
  }

  /** By init_top_pgt, 4-level: Intel SDM, volume 3, 4.5. */
  private walk(address: bigint): number | undefined {
    const root = this.table.addressOf('init_top_pgt');
    if (root === undefined) return undefined;
    const { core } = this.machine;
    let table = root - this.imageOffset;
    for (let shift = 39n; ; shift -= 9n) {
      const at = Number(table) + Number((address >> shift) & 511n) * 8;
      if (!(at >= 0 && at + 8 <= core.ramBytes)) return undefined;
      const entry = core.u64[(L.RAM + at) >>> 3];
      if ((entry & 1n) === 0n) return undefined;
      const isPage = shift === 12n || (shift <= 30n && (entry & 0x80n) !== 0n);
      if (isPage) {
        const within = (1n << shift) - 1n;
        return Number((entry & 0x000f_ffff_ffff_f000n & ~within) | (address & within));
      }
      table = entry & 0x000f_ffff_ffff_f000n;
    }
  }
}

function latin(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]);
  return text;
}
