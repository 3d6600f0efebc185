/**
 * Privileged state: control and debug registers, MSRs, CPUID, ports, time (SDM vol. 3A chapters 2, 4, 17; vol. 4 for MSRs).
 */
import {
  REGS, RIP, FLAGS, CPL, ICOUNT, TIME_OFFSET, TSC_OFFSET, CR0, CR2, CR3, CR4, CR8, EFER, DR0, DR6, DR7, PDPTE, MAILBOX, RAM, RAM_SIZE, SEGS, SEG_SIZE,
  SEG_BASE, SEG_LIMIT, SEG_SELECTOR, SEG_ATTR, FS, GS, TR, LDTR, CS, GDTR_BASE, GDTR_LIMIT, IDTR_BASE, IDTR_LIMIT, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK,
  MSR_KERNEL_GS_BASE, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT, MSR_TSC_AUX, RANDOM, STOP_AT, REASON_CPUID, REASON_CR_ACCESS,
  REASON_RDMSR, REASON_WRMSR, REASON_INVLPG, REASON_MOV_DR, REASON_GDTR_IDTR, REASON_WBINVD, TLB_READ, DEBUG_PENDING, TLB_FLUSH_ALL
} from "../layout";
import { hostCpuid, hostExitEvent, hostIoRead, hostIoWrite, hostRdmsr, hostWrmsr, hostReadTpr, hostWriteTpr } from "./host";
import { countFlush, tlbFlushAll, tlbFlushNonGlobal, tlbSwitchRoot, tlbSelect, systemLoad, PHYSICAL_BITS } from "./memory";
import { raise, raiseError } from "./exceptions";
import { updateMode, updateBases, is64, longMode, loadSegment } from "./segments";
import { getFlags, setFlags, setArithmetic, IF, IOPL } from "./flags";

const PE: u64 = 1;
const PG: u64 = 0x80000000;

/** #GP(0) unless at privilege 0. */
export function requireKernel(): void {
  if (load<u32>(CPL) != 0) raiseError(13, 0);
}

/** Virtual time in ns: instructions retired plus idle and device time. Exact at the instruction that is running. */
export function virtualTime(): u64 {
  return currentIcount() + load<u64>(TIME_OFFSET);
}

import { BLOCK, CURSOR } from "../layout";
/** Instructions retired before the one that is running. */
export function currentIcount(): u64 {
  const block = load<u32>(BLOCK);
  if (block == 0) return load<u64>(ICOUNT);
  return load<u64>(ICOUNT) - <u64>load<u16>(block, 10) + <u64>load<u8>(load<u32>(CURSOR), 19);
}

export function tsc(): u64 {
  return virtualTime() + load<u64>(TSC_OFFSET);
}

// ---- control registers ----

export function readCr(n: u32, gpr: u32): u64 {
  requireKernel();
  if (n == 2) return load<u64>(CR2);
  const value: u64 = n == 0 ? load<u64>(CR0) : n == 3 ? load<u64>(CR3) : n == 4 ? load<u64>(CR4) : <u64>hostReadTpr();
  crEvent(n, gpr, value, CR_MOV_FROM);
  return value;
}

// Access types of the exit qualification (SDM vol. 3C table 28-3). CR2 never leaves the guest.
const CR_MOV_TO: u32 = 0;
const CR_MOV_FROM: u32 = 1;
const CR_CLTS: u32 = 2;
export const CR_LMSW: u32 = 3;

function crEvent(n: u32, gpr: u32, value: u64, access: u32): void {
  store<u64>(MAILBOX, value);
  hostExitEvent(REASON_CR_ACCESS, n | gpr << 8 | access << 12);
}

export function clts(): void {
  requireKernel();
  const value = load<u64>(CR0) & ~<u64>8;
  crEvent(0, 0, value, CR_CLTS);
  store<u64>(CR0, value);
}

const CR0_KNOWN: u64 = 0xe005003f;
/** VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP SMEP SMAP (of these VME is only stored) */
const CR4_KNOWN: u64 = 0x300fff;

export function writeCr(n: u32, value: u64, gpr: u32): void {
  requireKernel();
  switch (n) {
    case 0: writeCr0(value, gpr, CR_MOV_TO); return;
    case 2: store<u64>(CR2, value); return;
    case 3: {
      if (longMode() && (value >> PHYSICAL_BITS) != 0) raiseError(13, 0);
      if ((load<u64>(CR0) & PG) != 0 && !longMode() && (load<u64>(CR4) & 0x20) != 0) loadPdptes(value);
      crEvent(3, gpr, value, CR_MOV_TO);
      store<u64>(CR3, value);
      tlbSwitchRoot();
      return;
    }
    case 4: {
      if ((value & ~CR4_KNOWN) != 0) raiseError(13, 0);
      if (longMode() && (value & 0x20) == 0) raiseError(13, 0);
      const old = load<u64>(CR4);
      if ((load<u64>(CR0) & PG) != 0 && !longMode() && ((old ^ value) & 0xb0) != 0 && (value & 0x20) != 0) loadPdptes(load<u64>(CR3));
      crEvent(4, gpr, value, CR_MOV_TO);
      store<u64>(CR4, value);
      if (isDefined(COUNT_TLB) && ((old ^ value) & 0x1000b0) != 0) countFlush(TLB_FLUSH_ALL, 0);
      // PGE alone changes no translation: global ones stay until a CR3 load with PGE off.
      if ((old ^ value) & ~<u64>0x80) tlbFlushAll();
      tlbSelect();
      return;
    }
    default: {
      if (value & ~<u64>15) raiseError(13, 0);
      crEvent(8, gpr, value, CR_MOV_TO);
      hostWriteTpr(<u32>value);
      return;
    }
  }
}

export function writeCr0(value: u64, gpr: u32, access: u32): void {
  if ((value >> 32) != 0 || ((value & PG) != 0 && (value & PE) == 0) || ((value & 0x20000000) != 0 && (value & 0x40000000) == 0)) raiseError(13, 0);
  const old = load<u64>(CR0);
  const next = (value & CR0_KNOWN) | 0x10;
  let efer = load<u64>(EFER);
  if (((old ^ next) & PG) != 0) {
    if (next & PG) {
      if (efer & 0x100) {
        if ((load<u64>(CR4) & 0x20) == 0 || (load<u32>(SEGS + CS * SEG_SIZE, SEG_ATTR) & 0x2000) != 0) raiseError(13, 0);
        efer |= 0x400;
      } else if (load<u64>(CR4) & 0x20) loadPdptes(load<u64>(CR3));
    } else {
      if (is64()) raiseError(13, 0);
      efer &= ~<u64>0x400;
    }
  }
  crEvent(0, gpr, value, access);
  store<u64>(CR0, next);
  store<u64>(EFER, efer);
  if (isDefined(COUNT_TLB) && ((old ^ next) & PG) != 0) countFlush(TLB_FLUSH_ALL, 0);
  if ((old ^ next) & (PG | PE | 0x10000)) tlbFlushAll();
  updateMode();
}

/** PAE: the pointers are read, and checked, when CR3 is loaded (SDM vol. 3A 4.4.1). */
function loadPdptes(cr3: u64): void {
  const base = <u32>cr3 & 0xffffffe0;
  for (let i: u32 = 0; i < 4; i++) {
    const at = base + (i << 3);
    const e = at + 8 <= load<u32>(RAM_SIZE) ? load<u64>(<usize>(RAM + at)) : 0;
    if ((e & 1) != 0 && ((e & 0x1e6) != 0 || (e >> PHYSICAL_BITS) != 0)) raiseError(13, 0);
    store<u64>(TMP + (i << 3), e);
  }
  for (let i: u32 = 0; i < 4; i++) store<u64>(PDPTE + (i << 3), load<u64>(TMP + (i << 3)));
}
const TMP: usize = MAILBOX + 0x80;

// ---- debug registers ----

export function readDr(n: u32): u64 {
  requireKernel();
  checkDr(n);
  hostExitEvent(REASON_MOV_DR, n | 0x10);
  if (n < 4) return load<u64>(DR0 + (n << 3));
  return n == 4 || n == 6 ? load<u64>(DR6) | 0xffff0ff0 : load<u64>(DR7) | 0x400;
}
function checkDr(n: u32): void {
  if ((n == 4 || n == 5) && (load<u64>(CR4) & 8) != 0) raise(6);
  if (load<u64>(DR7) & 0x2000) {
    store<u64>(DR6, load<u64>(DR6) | 0x2000);
    raise(1);
  }
}
export function writeDr(n: u32, value: u64): void {
  requireKernel();
  checkDr(n);
  if (n >= 4 && (value >> 32) != 0) raiseError(13, 0);
  store<u64>(MAILBOX, value);
  hostExitEvent(REASON_MOV_DR, n);
  if (n < 4) store<u64>(DR0 + (n << 3), value);
  else if (n == 4 || n == 6) store<u64>(DR6, value & 0xe00f);
  else store<u64>(DR7, value & 0xffff2bff);
  // Watched pages are never cached.
  tlbFlushAll();
}

// ---- MSRs ----

function seg(s: u32): usize {
  return SEGS + s * SEG_SIZE;
}
function canonical(v: u64): bool {
  return <u64>((<i64>v << 16) >> 16) == v;
}

export function rdmsr(): void {
  requireKernel();
  const index = load<u32>(REGS + 8);
  let v: u64 = 0;
  switch (index) {
    case 0x10: v = tsc(); break;
    case 0x174: v = load<u64>(MSR_SYSENTER_CS); break;
    case 0x175: v = load<u64>(MSR_SYSENTER_ESP); break;
    case 0x176: v = load<u64>(MSR_SYSENTER_EIP); break;
    case 0x277: v = load<u64>(MSR_PAT); break;
    case 0xc0000080: v = load<u64>(EFER); break;
    case 0xc0000081: v = load<u64>(MSR_STAR); break;
    case 0xc0000082: v = load<u64>(MSR_LSTAR); break;
    case 0xc0000083: v = load<u64>(MSR_CSTAR); break;
    case 0xc0000084: v = load<u64>(MSR_FMASK); break;
    case 0xc0000100: v = load<u64>(seg(FS), SEG_BASE); break;
    case 0xc0000101: v = load<u64>(seg(GS), SEG_BASE); break;
    case 0xc0000102: v = load<u64>(MSR_KERNEL_GS_BASE); break;
    case 0xc0000103: v = load<u64>(MSR_TSC_AUX); break;
    default:
      if (!hostRdmsr(index)) raiseError(13, 0);
      v = load<u64>(MAILBOX);
  }
  store<u64>(MAILBOX, v);
  hostExitEvent(REASON_RDMSR, index);
  store<u64>(REGS, v & 0xffffffff);
  store<u64>(REGS + 16, v >> 32);
}

export function wrmsr(): void {
  requireKernel();
  const index = load<u32>(REGS + 8);
  const v = <u64>load<u32>(REGS) | <u64>load<u32>(REGS + 16) << 32;
  switch (index) {
    case 0x10: store<u64>(TSC_OFFSET, v - virtualTime()); break;
    case 0x174: store<u64>(MSR_SYSENTER_CS, v); break;
    case 0x175: if (!canonical(v)) raiseError(13, 0); store<u64>(MSR_SYSENTER_ESP, v); break;
    case 0x176: if (!canonical(v)) raiseError(13, 0); store<u64>(MSR_SYSENTER_EIP, v); break;
    case 0x277:
      for (let i = 0; i < 64; i += 8) {
        const t = <u32>(v >> i) & 0xff;
        if (t > 7 || t == 2 || t == 3) raiseError(13, 0);
      }
      store<u64>(MSR_PAT, v);
      break;
    case 0xc0000080: {
      if (v & ~<u64>0xd01) raiseError(13, 0);
      const old = load<u64>(EFER);
      if (((old ^ v) & 0x100) != 0 && (load<u64>(CR0) & PG) != 0) raiseError(13, 0);
      store<u64>(EFER, (v & ~<u64>0x400) | (old & 0x400));
      if ((old ^ v) & 0x800) tlbFlushAll();
      break;
    }
    case 0xc0000081: store<u64>(MSR_STAR, v); break;
    case 0xc0000082: if (!canonical(v)) raiseError(13, 0); store<u64>(MSR_LSTAR, v); break;
    case 0xc0000083: if (!canonical(v)) raiseError(13, 0); store<u64>(MSR_CSTAR, v); break;
    case 0xc0000084: store<u64>(MSR_FMASK, v & 0xffffffff); break;
    case 0xc0000100: if (!canonical(v)) raiseError(13, 0); store<u64>(seg(FS), v, SEG_BASE); updateBases(); break;
    case 0xc0000101: if (!canonical(v)) raiseError(13, 0); store<u64>(seg(GS), v, SEG_BASE); updateBases(); break;
    case 0xc0000102: if (!canonical(v)) raiseError(13, 0); store<u64>(MSR_KERNEL_GS_BASE, v); break;
    case 0xc0000103: store<u64>(MSR_TSC_AUX, v & 0xffffffff); break;
    default:
      store<u64>(MAILBOX, v);
      if (!hostWrmsr(index)) raiseError(13, 0);
  }
  store<u64>(MAILBOX, v);
  hostExitEvent(REASON_WRMSR, index);
}

export function cpuid(): void {
  const leaf = load<u32>(REGS), sub = load<u32>(REGS + 8);
  hostCpuid(leaf, sub);
  store<u64>(REGS, <u64>load<u32>(MAILBOX));
  store<u64>(REGS + 24, <u64>load<u32>(MAILBOX + 8));
  store<u64>(REGS + 8, <u64>load<u32>(MAILBOX + 16));
  store<u64>(REGS + 16, <u64>load<u32>(MAILBOX + 24));
  store<u64>(MAILBOX, <u64>leaf | <u64>sub << 32);
  hostExitEvent(REASON_CPUID, 0);
}

export function rdtsc(): void {
  if ((load<u64>(CR4) & 4) != 0 && load<u32>(CPL) != 0) raiseError(13, 0);
  const t = tsc();
  store<u64>(REGS, t & 0xffffffff);
  store<u64>(REGS + 16, t >> 32);
}

/** RDRAND and RDSEED: a counter mixed as in splitmix64; its state is the machine's, its seed the run's configuration. */
export function random(): u64 {
  const s = load<u64>(RANDOM) + 0x9e3779b97f4a7c15;
  store<u64>(RANDOM, s);
  let z = s;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// ---- ports ----

/** #GP(0) unless IOPL or the TSS's bit map allows the port (SDM vol. 1 chapter 19). */
export function checkPort(port: u32, size: u32): void {
  const cpl = load<u32>(CPL);
  if (cpl <= (<u32>(load<u64>(FLAGS) >> 12) & 3)) return;
  const limit = load<u32>(seg(TR), SEG_LIMIT);
  const base = load<u64>(seg(TR), SEG_BASE);
  if (limit < 103 || (load<u32>(seg(TR), SEG_ATTR) & 8) == 0) raiseError(13, 0);
  const map = <u32>systemLoad(base + 102, 2);
  const at = map + (port >> 3);
  if (at + 1 > limit) raiseError(13, 0);
  const bits = <u32>systemLoad(base + <u64>at, 2) >> (port & 7);
  if (bits & ((1 << size) - 1)) raiseError(13, 0);
}
/** I/O breakpoints, with CR4.DE (SDM vol. 3B 17.2.4). */
function watchPort(port: u32, size: u32): void {
  const dr7 = load<u64>(DR7);
  if ((dr7 & 0xff) == 0 || (load<u64>(CR4) & 8) == 0) return;
  for (let i: u32 = 0; i < 4; i++) {
    if ((dr7 >> (i << 1) & 3) == 0 || (dr7 >> (16 + (i << 2)) & 3) != 2) continue;
    const length = (<u32>(dr7 >> (18 + (i << 2))) & 3) + 1;
    const from = load<u64>(DR0 + (i << 3)) & ~<u64>(length - 1);
    if (<u64>port < from + length && from < <u64>(port + size)) store<u32>(DEBUG_PENDING, load<u32>(DEBUG_PENDING) | (1 << i));
  }
}
export function inPort(port: u32, size: u32): u32 {
  watchPort(port, size);
  return hostIoRead(port, size);
}
export function outPort(port: u32, size: u32, value: u32): void {
  watchPort(port, size);
  hostIoWrite(port, size, size == 4 ? value : value & ((1 << (size << 3)) - 1));
}
