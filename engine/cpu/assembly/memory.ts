/**
 * Guest memory as the CPU sees it: software TLB, page walks, loads and stores.
 *
 * The TLB is invisible. Every access behaves as if the tables were walked anew, because a page that a cached translation
 * was read through is marked, and a store that changes a present entry in it drops the translations (an Intel CPU may drop
 * a translation at any time, SDM vol. 3A 4.10.2, so this is one of the machine's legal behaviours, and the only one that does not
 * depend on the shape of the cache). That is what lets checkpoints, tiers and later versions with another TLB agree
 * on every position and digest. INVLPG has nothing left to do.
 *
 * An entry is 16 bytes: u64 tag (page address, or all ones), u32 addend (host address = low half of the virtual
 * address + addend), u32 page frame. A store entry exists only for pages that are already dirty in this epoch
 * and hold neither decoded code nor page tables in use, so the fast path has one compare.
 */
import {
  REGS, TLB, TLB_READ, TLB_WRITE, GENERATION, GENERATION_GLOBAL, CPL, CR0, CR3, CR4, EFER, FLAGS, PDPTE, RAM, RAM_SIZE, PAGE_ATTR, PAGE_DIRTY,
  DIRTY_LIST, DIRTY_COUNT, PAGE_CODE, PAGE_TABLE, PAGE_TABLE_GLOBAL, PAGE_WRITABLE, PAGE_LEVELS, REASON_PAGE_TABLE, PAGE_WATCH, WATCHING, WATCH_READ, WATCH_WRITE, WATCH_DIRTY, FIRST_WRITE_BYTES, ICOUNT, TIME_OFFSET, ACCESS_LOAD, ACCESS_STORE, ACCESS_WALK, ACCESS_DEVICE, CURSOR, BLOCK, ISOLATE, EXC_ADDRESS,
  TLB_FETCH, TLB_USER, TLB_GLOBAL, TLB_SHIFT, TLB_FLUSH_LOCAL,
  MAILBOX, REG_PAGE, CR2, DR0, DR7, DEBUG_PENDING, SEG_FLAT_STACK, SS, STOP_AT, JIT_TLB_MASK
} from "../layout";
import { hostExitEvent, hostMmioRead, hostMmioWrite, hostObserveAccess, hostTlbAccess, hostTlbFlush } from "./host";
import { raiseError, retry } from "./exceptions";
import { codeWrite, codeWriteHits } from "./blocks";
import { AC } from "./flags";
import { CALL64, CALL_R64, CALL_M64, PUSH_M64, OP_HELP, OP_HELP_END, OP_HELP_JUMP, H_REP_STRING } from "../ops";

export const ACCESS_READ: u32 = 0;
export const ACCESS_WRITE: u32 = 1;
export const ACCESS_EXEC: u32 = 2;

const ENTRIES: u32 = 2048;
/** In the counting build; see countAccess(). */
const COUNT_ENTRIES: u32 = 16;
const MASK: u32 = isDefined(COUNT_TLB) ? COUNT_ENTRIES - 1 : ENTRIES - 1;
const SET_BYTES: u32 = ENTRIES * 16;
const WRITE_SET: u32 = SET_BYTES;
const MODE_BYTES: u32 = SET_BYTES * 2;
const FETCH: usize = TLB + 0x30000;
const FETCH_ENTRIES: u32 = isDefined(COUNT_TLB) ? COUNT_ENTRIES : 512;
const FETCH_SET: u32 = FETCH_ENTRIES * 16;
/** In the frame of a fetch entry (frames have 20 bits at most): the translation is global. */
const FETCH_GLOBAL: u32 = 0x80000000;
const JOURNAL: usize = TLB + 0x40000;
const JOURNAL_GLOBAL: usize = TLB + 0x60000;
const JOURNAL_MAX: u32 = 16384;
const TABLES: usize = TLB + 0x80000;
const TABLES_GLOBAL: usize = TLB + 0xa0000;
const TABLES_MAX: u32 = 16384;
/** Never filled: with this set chosen every access takes the slow path, which checks alignment (CR0.AM and RFLAGS.AC at privilege 3). */
const ALIGNED: usize = TLB + 0x100000;
const NONE: u64 = 0xffffffffffffffff;
const PAGE: u64 = 0xfffffffffffff000;
/** Physical address bits, as CPUID 0x80000008 says. */
export const PHYSICAL_BITS: u32 = 40;
const PHYSICAL_MASK: u64 = (<u64>1 << PHYSICAL_BITS) - 1;
const FRAME: u64 = PHYSICAL_MASK & PAGE;
const RESERVED_HIGH: u64 = 0x000fffffffffffff & ~PHYSICAL_MASK;
const NX: u64 = 0x8000000000000000;

let journalCount: u32 = 0;
let journalGlobalCount: u32 = 0;
let tablesCount: u32 = 0;
let tablesGlobalCount: u32 = 0;

/** PML4 slots that global translations went through: {slot, entry without A}. When a new CR3 has the same, they stay valid. */
const SLOTS: usize = TLB + 0xc0000;
const SLOTS_MAX: u32 = 16;
let slotsCount: u32 = 0;
let slotsOverflow: bool = false;

function clearSet(from: usize, bytes: u32): void {
  for (let e: usize = from; e < from + bytes; e += 16) store<u64>(e, NONE);
}

/** Empties everything; used at reset and when a journal overflows. */
export function tlbReset(): void {
  clearSet(TLB, MODE_BYTES * 3);
  clearSet(ALIGNED, MODE_BYTES);
  clearSet(FETCH, FETCH_SET * 2);
  journalCount = 0;
  journalGlobalCount = 0;
  for (let i: u32 = 0; i < tablesCount; i++) unmark(load<u32>(TABLES + (i << 2)), PAGE_TABLE);
  for (let i: u32 = 0; i < tablesGlobalCount; i++) unmark(load<u32>(TABLES_GLOBAL + (i << 2)), PAGE_TABLE_GLOBAL);
  tablesCount = 0;
  tablesGlobalCount = 0;
  slotsCount = 0;
  slotsOverflow = false;
  store<u32>(JIT_TLB_MASK, MASK << 4);
  bumpGeneration();
}

// @ts-ignore: decorator
@inline
function unmark(frame: u32, bit: u32): void {
  store<u8>(PAGE_ATTR + frame, load<u8>(PAGE_ATTR + frame) & ~<u8>bit);
}

/** Every virtual block look-up made so far is void. */
export function bumpGeneration(): void {
  bumpLocal();
  const next = load<u32>(GENERATION_GLOBAL) + 2;
  store<u32>(GENERATION_GLOBAL, next == 0 ? 2 : next);
}
/** Every one that did not go through a global translation. The two generations are odd and even, so that neither is ever taken for the other. */
function bumpLocal(): void {
  store<u32>(GENERATION, load<u32>(GENERATION) + 2);
}

export function tlbFlushNonGlobal(): void {
  for (let i: u32 = 0; i < journalCount; i++) store<u64>(load<u32>(JOURNAL + (i << 2)), NONE);
  journalCount = 0;
  for (let i: u32 = 0; i < tablesCount; i++) unmark(load<u32>(TABLES + (i << 2)), PAGE_TABLE);
  tablesCount = 0;
  bumpLocal();
}

export function tlbFlushAll(): void {
  tlbFlushNonGlobal();
  bumpGeneration();
  for (let i: u32 = 0; i < journalGlobalCount; i++) store<u64>(load<u32>(JOURNAL_GLOBAL + (i << 2)), NONE);
  journalGlobalCount = 0;
  for (let i: u32 = 0; i < tablesGlobalCount; i++) unmark(load<u32>(TABLES_GLOBAL + (i << 2)), PAGE_TABLE_GLOBAL);
  tablesGlobalCount = 0;
  slotsCount = 0;
  slotsOverflow = false;
}

/** Counting build: tells what the guest invalidates (SDM vol. 3A 4.10.4.1), and forgets which pages were the most recent. */
export function countFlush(what: u32, va: u64): void {
  hostTlbFlush(what, <u32>(va >> 12), <u32>(va >> 44));
  tlbFlushAll();
}

/** After MOV CR3: global translations stay when the new root leads to the same tables for them. */
export function tlbSwitchRoot(): void {
  if (isDefined(COUNT_TLB)) hostTlbFlush(TLB_FLUSH_LOCAL, 0, 0);
  tlbFlushNonGlobal();
  if (journalGlobalCount == 0) return;
  const root = load<u64>(CR3) & FRAME;
  let same = !slotsOverflow && (load<u64>(CR4) & 0x80) != 0 && (load<u64>(EFER) & 0x400) != 0 && root < <u64>load<u32>(RAM_SIZE);
  for (let i: u32 = 0; same && i < slotsCount; i++) {
    const slot = load<u32>(SLOTS + (i << 4));
    same = (load<u64>(<usize>(RAM + <u32>root + (slot << 3))) & ~<u64>0x20) == load<u64>(SLOTS + (i << 4) + 8);
  }
  if (same) markTable(<u32>(root >> 12), true);
  else tlbFlushAll();
}

/** Chooses the TLB of the current privilege; call after CPL, CR0.AM, CR4.SMAP or RFLAGS.AC changed. */
export function tlbSelect(): void {
  let mode: u32 = 0;
  if (load<u32>(CPL) == 3 && (load<u64>(FLAGS) & AC) != 0 && (load<u64>(CR0) & 0x40000) != 0) {
    store<u32>(TLB_READ, <u32>ALIGNED);
    store<u32>(TLB_WRITE, <u32>ALIGNED + WRITE_SET);
    return;
  }
  if (load<u32>(CPL) == 3) mode = 1;
  else if ((load<u64>(CR4) & 0x200000) != 0 && (load<u64>(FLAGS) & AC) == 0) mode = 2;
  store<u32>(TLB_READ, TLB + mode * MODE_BYTES);
  store<u32>(TLB_WRITE, TLB + mode * MODE_BYTES + WRITE_SET);
}

function dropWriteEntries(frame: u32): void {
  for (let i: u32 = 0; i < journalCount; i++) {
    const e = load<u32>(JOURNAL + (i << 2));
    if (isWriteEntry(e) && load<u32>(e, 12) == frame) store<u64>(e, NONE);
  }
  for (let i: u32 = 0; i < journalGlobalCount; i++) {
    const e = load<u32>(JOURNAL_GLOBAL + (i << 2));
    if (isWriteEntry(e) && load<u32>(e, 12) == frame) store<u64>(e, NONE);
  }
}

// @ts-ignore: decorator
@inline
function isWriteEntry(e: u32): bool {
  return e < <u32>FETCH && (((e - TLB) >> 15) & 1) != 0;
}

/** From now on stores to the frame take the slow path. */
export function guardFrame(frame: u32, bit: u32): void {
  const attr = load<u8>(PAGE_ATTR + frame);
  if (attr & PAGE_WRITABLE) dropWriteEntries(frame);
  store<u8>(PAGE_ATTR + frame, (attr & ~PAGE_WRITABLE) | <u8>bit);
}

function markTable(frame: u32, global: bool): void {
  const bit: u32 = global ? PAGE_TABLE_GLOBAL : PAGE_TABLE;
  if (load<u8>(PAGE_ATTR + frame) & <u8>bit) return;
  guardFrame(frame, bit);
  if (global) {
    store<u32>(TABLES_GLOBAL + (tablesGlobalCount << 2), frame);
    tablesGlobalCount++;
  } else {
    store<u32>(TABLES + (tablesCount << 2), frame);
    tablesCount++;
  }
}

/** Forgets all cached store translations: the next store to each page is seen again (a new dirty epoch). */
export function tlbDropWrites(): void {
  for (let mode: u32 = 0; mode < 3; mode++) clearSet(TLB + mode * MODE_BYTES + WRITE_SET, SET_BYTES);
}

/** Who marks a frame: ACCESS_STORE, ACCESS_WALK or ACCESS_DEVICE. */
let marker: u32 = ACCESS_STORE;

export function markDirty(frame: u32): void {
  if (observed(frame) & WATCH_DIRTY) hostObserveAccess(marker, frame << 12, 0);
  if (load<u8>(PAGE_DIRTY + frame)) return;
  store<u8>(PAGE_DIRTY + frame, 1);
  const count = load<u32>(DIRTY_COUNT);
  store<u32>(DIRTY_LIST + (count << 2), frame);
  const note = RAM + load<u32>(RAM_SIZE) + count * FIRST_WRITE_BYTES;
  const block = load<u32>(BLOCK);
  const icount = load<u64>(ICOUNT);
  store<u64>(note, block == 0 ? icount : icount - <u64>load<u16>(block, 10) + <u64>load<u8>(load<u32>(CURSOR), 19));
  store<u64>(note, load<u64>(TIME_OFFSET), 8);
  store<u32>(DIRTY_COUNT, count + 1);
}

// ---- page walk ----

let walkPhysical: u64 = 0;
let walkGlobal: bool = false;
let walkSlot: i32 = -1;
let walkTop: u64 = 0;
let walkTables: u32 = 0;
let walkTable0: u32 = 0;
let walkTable1: u32 = 0;
let walkTable2: u32 = 0;
let walkTable3: u32 = 0;
let walkEntry0: u32 = 0;
let walkEntry1: u32 = 0;
let walkEntry2: u32 = 0;
let walkEntry3: u32 = 0;
/** Effective rights of the last walk, for fills: bit 0 user, bit 1 writable by user, bit 2 no execute, bit 3 dirty */
let walkRights: u32 = 0;

// @ts-ignore: decorator
@inline
function tableEntry64(paddr: u64): u64 {
  return paddr + 8 <= <u64>load<u32>(RAM_SIZE) ? load<u64>(<usize>(RAM + <u32>paddr)) : 0;
}

function noteEntry(paddr: u64): void {
  const address = <u32>paddr;
  const frame = address >> 12;
  if (walkTables == 0) { walkTable0 = frame; walkEntry0 = address; }
  else if (walkTables == 1) { walkTable1 = frame; walkEntry1 = address; }
  else if (walkTables == 2) { walkTable2 = frame; walkEntry2 = address; }
  else { walkTable3 = frame; walkEntry3 = address; }
  walkTables++;
}

/** A CPU update of a page-table entry (A and D bits). */
function updateEntry(paddr: u64, bits: u64, wide: bool): void {
  const frame = <u32>(paddr >> 12);
  const host = <usize>(RAM + <u32>paddr);
  if (wide) {
    const old = load<u64>(host);
    if ((old & bits) == bits) return;
    if (observed(frame) & WATCH_WRITE) hostObserveAccess(ACCESS_WALK, <u32>paddr, 8);
    if (load<u8>(PAGE_ATTR + frame) & PAGE_CODE) codeWrite(<u32>paddr, 8);
    store<u64>(host, old | bits);
  } else {
    const old = load<u32>(host);
    if ((old & <u32>bits) == <u32>bits) return;
    if (observed(frame) & WATCH_WRITE) hostObserveAccess(ACCESS_WALK, <u32>paddr, 4);
    if (load<u8>(PAGE_ATTR + frame) & PAGE_CODE) codeWrite(<u32>paddr, 4);
    store<u32>(host, old | <u32>bits);
  }
  marker = ACCESS_WALK;
  markDirty(frame);
  marker = ACCESS_STORE;
}

function fault(va: u64, present: u32, reserved: u32, access: u32, user: u32): void {
  let code = present | (user << 2) | (reserved << 3);
  if (access == ACCESS_WRITE) code |= 2;
  if (access == ACCESS_EXEC && (((load<u64>(EFER) & 0x800) != 0 && (load<u64>(CR4) & 0x20) != 0) || (load<u64>(CR4) & 0x100000) != 0)) code |= 16;
  store<u64>(EXC_ADDRESS, va);
  raiseError(14, code);
}

/** Permission check of the last walk (SDM vol. 3A 4.6.1); true when allowed. */
function allowed(access: u32, user: u32, rights: u32, implicitSupervisor: bool): bool {
  const isUserPage = (rights & 1) != 0;
  const writable = (rights & 2) != 0;
  if (access == ACCESS_EXEC) {
    if (rights & 4) return false;
    if (user) return isUserPage;
    return !(isUserPage && (load<u64>(CR4) & 0x100000) != 0);
  }
  if (user) return isUserPage && (access == ACCESS_READ || writable);
  if (isUserPage && (load<u64>(CR4) & 0x200000) != 0 && ((load<u64>(FLAGS) & AC) == 0 || implicitSupervisor)) return false;
  return access == ACCESS_READ || writable || (load<u64>(CR0) & 0x10000) == 0;
}

/**
 * Walks the tables for one access. Raises #PF, or with `quiet` returns false. On success A and D are set and walkPhysical is the address.
 */
function walk(va: u64, access: u32, user: u32, implicitSupervisor: bool, quiet: bool): bool {
  walkTables = 0;
  walkSlot = -1;
  const nxe = (load<u64>(EFER) & 0x800) != 0;
  let reserved = RESERVED_HIGH | (nxe ? 0 : NX);
  const cr4 = load<u64>(CR4);
  let rights: u32 = 3;
  if ((cr4 & 0x20) == 0) {
    // 32-bit paging (SDM vol. 3A 4.3)
    const pdeAddress = (load<u64>(CR3) & 0xfffff000) | (va >> 22 << 2 & 0xffc);
    const pde = pdeAddress + 4 <= <u64>load<u32>(RAM_SIZE) ? load<u32>(<usize>(RAM + <u32>pdeAddress)) : 0;
    noteEntry(pdeAddress);
    if ((pde & 1) == 0) { if (quiet) return false; fault(va, 0, 0, access, user); }
    rights = ((pde >> 2) & 1) | (pde & 2);
    if ((pde & 0x80) != 0 && (cr4 & 0x10) != 0) {
      if (pde & 0x200000) { if (quiet) return false; fault(va, 1, 1, access, user); }
      walkPhysical = (<u64>(pde & 0xffc00000) | (<u64>(pde & 0x1fe000) << 19) | (va & 0x3fffff)) & PHYSICAL_MASK;
      walkGlobal = (pde & 0x100) != 0;
      if (!allowed(access, user, rights, implicitSupervisor)) { if (quiet) return false; fault(va, 1, 0, access, user); }
      updateEntry(pdeAddress, access == ACCESS_WRITE ? 0x60 : 0x20, false);
      walkRights = rights | ((pde & 0x40) != 0 || access == ACCESS_WRITE ? 8 : 0);
      return true;
    }
    const pteAddress = <u64>(pde & 0xfffff000) | (va >> 12 << 2 & 0xffc);
    const pte = pteAddress + 4 <= <u64>load<u32>(RAM_SIZE) ? load<u32>(<usize>(RAM + <u32>pteAddress)) : 0;
    noteEntry(pteAddress);
    if ((pte & 1) == 0) { if (quiet) return false; fault(va, 0, 0, access, user); }
    rights &= ((pte >> 2) & 1) | (pte & 2);
    if (!allowed(access, user, rights, implicitSupervisor)) { if (quiet) return false; fault(va, 1, 0, access, user); }
    updateEntry(pdeAddress, 0x20, false);
    updateEntry(pteAddress, access == ACCESS_WRITE ? 0x60 : 0x20, false);
    walkPhysical = <u64>(pte & 0xfffff000) | (va & 0xfff);
    walkGlobal = (pte & 0x100) != 0;
    walkRights = rights | ((pte & 0x40) != 0 || access == ACCESS_WRITE ? 8 : 0);
    return true;
  }

  let table: u64;
  let level: u32;
  let noExecute = false;
  let address0: u64 = 0, address1: u64 = 0;
  if (load<u64>(EFER) & 0x400) {
    // 4-level paging (SDM vol. 3A 4.5)
    address0 = (load<u64>(CR3) & FRAME) | (va >> 39 << 3 & 0xff8);
    const pml4e = tableEntry64(address0);
    noteEntry(address0);
    if ((pml4e & 1) == 0) { if (quiet) return false; fault(va, 0, 0, access, user); }
    if (pml4e & (reserved | 0x80)) { if (quiet) return false; fault(va, 1, 1, access, user); }
    rights = (<u32>(pml4e >> 2) & 1) | (<u32>pml4e & 2);
    noExecute = (pml4e & NX) != 0;
    walkSlot = <i32>(va >> 39 & 0x1ff);
    walkTop = pml4e & ~<u64>0x20;
    address1 = (pml4e & FRAME) | (va >> 30 << 3 & 0xff8);
    const pdpte = tableEntry64(address1);
    noteEntry(address1);
    if ((pdpte & 1) == 0) { if (quiet) return false; fault(va, 0, 0, access, user); }
    if (pdpte & (reserved | ((pdpte & 0x80) != 0 ? 0x3fffe000 : 0))) { if (quiet) return false; fault(va, 1, 1, access, user); }
    rights &= (<u32>(pdpte >> 2) & 1) | (<u32>pdpte & 2);
    noExecute = noExecute || (pdpte & NX) != 0;
    if (pdpte & 0x80) {
      if (noExecute && nxe) rights |= 4;
      if (!allowed(access, user, rights, implicitSupervisor)) { if (quiet) return false; fault(va, 1, 0, access, user); }
      updateEntry(address0, 0x20, true);
      updateEntry(address1, access == ACCESS_WRITE ? 0x60 : 0x20, true);
      walkPhysical = (pdpte & FRAME & ~<u64>0x3fffffff) | (va & 0x3fffffff);
      walkGlobal = (pdpte & 0x100) != 0;
      walkRights = rights | ((pdpte & 0x40) != 0 || access == ACCESS_WRITE ? 8 : 0);
      return true;
    }
    table = pdpte & FRAME;
  } else {
    // PAE paging: the four pointers were read at MOV CR3 (SDM vol. 3A 4.4.1); bits 62:52 are reserved (table 4-10)
    reserved |= 0x7ff0000000000000;
    const pdpte = load<u64>(PDPTE + (<i32>(va >> 30 & 3) << 3));
    if ((pdpte & 1) == 0) { if (quiet) return false; fault(va, 0, 0, access, user); }
    table = pdpte & FRAME;
  }
  const pdeAddress = table | (va >> 21 << 3 & 0xff8);
  const pde = tableEntry64(pdeAddress);
  noteEntry(pdeAddress);
  if ((pde & 1) == 0) { if (quiet) return false; fault(va, 0, 0, access, user); }
  if (pde & (reserved | ((pde & 0x80) != 0 ? 0x1fe000 : 0))) { if (quiet) return false; fault(va, 1, 1, access, user); }
  rights &= (<u32>(pde >> 2) & 1) | (<u32>pde & 2);
  noExecute = noExecute || (pde & NX) != 0;
  if (pde & 0x80) {
    if (noExecute && nxe) rights |= 4;
    if (!allowed(access, user, rights, implicitSupervisor)) { if (quiet) return false; fault(va, 1, 0, access, user); }
    if (address0) { updateEntry(address0, 0x20, true); updateEntry(address1, 0x20, true); }
    updateEntry(pdeAddress, access == ACCESS_WRITE ? 0x60 : 0x20, true);
    walkPhysical = (pde & FRAME & ~<u64>0x1fffff) | (va & 0x1fffff);
    walkGlobal = (pde & 0x100) != 0;
    walkRights = rights | ((pde & 0x40) != 0 || access == ACCESS_WRITE ? 8 : 0);
    return true;
  }
  const pteAddress = (pde & FRAME) | (va >> 12 << 3 & 0xff8);
  const pte = tableEntry64(pteAddress);
  noteEntry(pteAddress);
  if ((pte & 1) == 0) { if (quiet) return false; fault(va, 0, 0, access, user); }
  if (pte & reserved) { if (quiet) return false; fault(va, 1, 1, access, user); }
  rights &= (<u32>(pte >> 2) & 1) | (<u32>pte & 2);
  noExecute = noExecute || (pte & NX) != 0;
  if (noExecute && nxe) rights |= 4;
  if (!allowed(access, user, rights, implicitSupervisor)) { if (quiet) return false; fault(va, 1, 0, access, user); }
  if (address0) { updateEntry(address0, 0x20, true); updateEntry(address1, 0x20, true); }
  updateEntry(pdeAddress, 0x20, true);
  updateEntry(pteAddress, access == ACCESS_WRITE ? 0x60 : 0x20, true);
  walkPhysical = (pte & FRAME) | (va & 0xfff);
  walkGlobal = (pte & 0x100) != 0;
  walkRights = rights | ((pte & 0x40) != 0 || access == ACCESS_WRITE ? 8 : 0);
  return true;
}

function markWalked(): void {
  const global = walkGlobal && (load<u64>(CR4) & 0x80) != 0;
  if (global && walkSlot >= 0) {
    let known = false;
    for (let i: u32 = 0; i < slotsCount; i++) if (load<u32>(SLOTS + (i << 4)) == <u32>walkSlot) { known = true; break; }
    if (!known) {
      if (slotsCount == SLOTS_MAX) slotsOverflow = true;
      else {
        store<u32>(SLOTS + (slotsCount << 4), <u32>walkSlot);
        store<u64>(SLOTS + (slotsCount << 4) + 8, walkTop);
        slotsCount++;
      }
    }
  } else if (global) slotsOverflow = true;
  if (tablesCount + 4 > TABLES_MAX || tablesGlobalCount + 4 > TABLES_MAX) tlbFlushAll();
  if (walkTables > 0) markTable(walkTable0, global);
  if (walkTables > 1) markTable(walkTable1, global);
  if (walkTables > 2) markTable(walkTable2, global);
  if (walkTables > 3) markTable(walkTable3, global);
  const top: u32 = (load<u64>(EFER) & 0x400) != 0 ? 4 : 2;
  if (walkTables > 0) becomeTable(walkTable0, top);
  if (walkTables > 1) becomeTable(walkTable1, top - 1);
  if (walkTables > 2) becomeTable(walkTable2, top - 2);
  if (walkTables > 3) becomeTable(walkTable3, top - 3);
}

// ---- which frames are page tables ----
//
// A frame is a table from the first walk through it until the entry that led to it changes, or a store comes that no entry is
// written by: a REP string, a device's, one across two entries or of an odd size (KVM's shadow MMU takes those for the end of
// a table, too: detect_write_misaligned in arch/x86/kvm/mmu/mmu.c). Roots stay when CR3 leaves them: Linux takes an address space apart
// after it has left it. None of this depends on the shape of the TLB: a translation is cached only after a walk through its
// tables, and when one of them ceases to be a table, the translations through it go.

// @ts-ignore: decorator
@inline
function levelBit(level: u32): u8 {
  return <u8>(<u32>8 << level);
}

// @ts-ignore: decorator
@inline
function becomeTable(frame: u32, level: u32): void {
  if ((load<u8>(PAGE_ATTR + frame) & levelBit(level)) == 0) guardFrame(frame, levelBit(level));
}

function ceaseTable(frame: u32, levels: u8): void {
  const attr = load<u8>(PAGE_ATTR + frame);
  if ((attr & levels) == 0) return;
  store<u8>(PAGE_ATTR + frame, attr & ~levels);
  if (attr & (PAGE_TABLE | PAGE_TABLE_GLOBAL)) tlbFlushAll();
}

/** The frame of the table that a present entry of this level leads to; all ones if it leads to none. */
function tableBelow(entry: u64, level: u32, wide: bool): u32 {
  if ((entry & 1) == 0) return 0xffffffff;
  if (level <= 3 && (entry & 0x80) != 0 && (wide || (load<u64>(CR4) & 0x10) != 0)) return 0xffffffff;
  const base = wide ? entry & FRAME : entry & 0xfffff000;
  return base < <u64>load<u32>(RAM_SIZE) ? <u32>(base >> 12) : 0xffffffff;
}

/** Set by the slow path of stores: the running instruction is a string one under REP. */
let isRepStore: bool = false;

/** A store to a frame that is a table, right before it happens. The instruction runs alone: it is not run again after the report. */
function tableStore(paddr: u32, size: u32, value: u64): void {
  // The next instruction is fetched anew.
  store<u64>(STOP_AT, 0);
  const frame = paddr >> 12;
  const wide = (load<u64>(CR4) & 0x20) != 0;
  const entrySize: u32 = wide ? 8 : 4;
  const offset = paddr & (entrySize - 1);
  if (isRepStore || offset + size > entrySize || (size < 4 && !(size == 1 && offset == 0))) {
    ceaseTable(frame, <u8>PAGE_LEVELS);
    return;
  }
  const at = paddr - offset;
  const old = wide ? load<u64>(<usize>(RAM + at)) : <u64>load<u32>(<usize>(RAM + at));
  const shift = <u64>(offset << 3);
  const mask: u64 = (size == 8 ? 0xffffffffffffffff : ((<u64>1 << (size << 3)) - 1)) << shift;
  const next = (old & ~mask) | ((value << shift) & mask);
  const levels = load<u8>(PAGE_ATTR + frame) & <u8>PAGE_LEVELS;
  const level: u32 = 28 - clz<u32>(<u32>levels);
  store<u64>(MAILBOX, next);
  store<u32>(MAILBOX, at, 8);
  hostExitEvent(REASON_PAGE_TABLE, level);
  for (let l: u32 = 2; l <= 4; l++) {
    if ((levels & levelBit(l)) == 0) continue;
    const below = tableBelow(old, l, wide);
    if (below != 0xffffffff && below != tableBelow(next, l, wide)) ceaseTable(below, levelBit(l - 1));
  }
}

function fill(e: usize, va: u64, paddr: u32, global: bool): void {
  // Every entry is in a journal; one that is full empties the cache, and this access stays uncached.
  if (global) {
    if (journalGlobalCount == JOURNAL_MAX) { tlbFlushAll(); return; }
    store<u32>(JOURNAL_GLOBAL + (journalGlobalCount << 2), <u32>e);
    journalGlobalCount++;
  } else {
    if (journalCount == JOURNAL_MAX) { tlbFlushAll(); return; }
    store<u32>(JOURNAL + (journalCount << 2), <u32>e);
    journalCount++;
  }
  store<u64>(e, va & PAGE);
  store<u32>(e, RAM + (paddr & 0xfffff000) - <u32>(va & PAGE), 8);
  store<u32>(e, paddr >> 12, 12);
}

// ---- an observer's watched frames: never cached, so that every access takes the slow path and tells ----

/** WATCH_* of the frame. */
// @ts-ignore: decorator
@inline
function observed(frame: u32): u32 {
  return load<u32>(WATCHING) == 0 ? 0 : load<u8>(PAGE_WATCH + frame);
}
/** Changes what is watched. Changes nothing that the guest or a log can see. */
export function setWatch(frame: u32, watch: u32): void {
  const old: u32 = load<u8>(PAGE_WATCH + frame);
  store<u8>(PAGE_WATCH + frame, <u8>watch);
  store<u32>(WATCHING, load<u32>(WATCHING) + (watch != 0 ? 1 : 0) - (old != 0 ? 1 : 0));
  tlbFlushAll();
}

// @ts-ignore: decorator
@inline
function paged(): bool {
  return (load<u64>(CR0) & 0x80000000) != 0;
}

/** True when a debug register watches data in this page: such pages are never cached. */
function watchedPage(va: u64): bool {
  const dr7 = load<u64>(DR7);
  if ((dr7 & 0xff) == 0) return false;
  for (let i: u32 = 0; i < 4; i++) {
    if ((dr7 >> (i << 1) & 3) == 0) continue;
    if ((dr7 >> (16 + (i << 2)) & 3) == 0) continue;
    if (((load<u64>(DR0 + (i << 3)) ^ va) & PAGE) == 0) return true;
  }
  return false;
}

/** Notes data breakpoints that an access of `size` bytes meets (SDM vol. 3B 17.2.5); they trap after the instruction. */
function watch(va: u64, size: u32, write: bool): void {
  const dr7 = load<u64>(DR7);
  for (let i: u32 = 0; i < 4; i++) {
    if ((dr7 >> (i << 1) & 3) == 0) continue;
    const kind = <u32>(dr7 >> (16 + (i << 2))) & 15;
    const rw = kind & 3;
    if (rw == 0 || rw == 2 || (rw == 1 && !write)) continue;
    let length: u64 = 1;
    switch (kind >> 2) { case 1: length = 2; break; case 2: length = 8; break; case 3: length = 4; break; default: break; }
    const from = load<u64>(DR0 + (i << 3)) & ~(length - 1);
    if (va < from + length && from < va + size) store<u32>(DEBUG_PENDING, load<u32>(DEBUG_PENDING) | (1 << i));
  }
}

/** Adds a translation for the set of privilege `mode`; the walk results are those of the last walk. */
function fillData(va: u64, paddr: u64, access: u32, readSet: usize): void {
  if (paddr >= <u64>load<u32>(RAM_SIZE)) return;
  const frame = <u32>(paddr >> 12);
  if (watchedPage(va)) { if (access == ACCESS_WRITE) markDirty(frame); return; }
  const global = paged() && walkGlobal && (load<u64>(CR4) & 0x80) != 0;
  if (paged()) markWalked();
  if (observed(frame) != 0) { if (access == ACCESS_WRITE) markDirty(frame); return; }
  const index = (<u32>(va >> 12) & MASK) << 4;
  if (access == ACCESS_WRITE) {
    markDirty(frame);
    const attr = load<u8>(PAGE_ATTR + frame);
    if ((attr & (PAGE_CODE | PAGE_TABLE | PAGE_TABLE_GLOBAL | PAGE_LEVELS)) == 0) {
      store<u8>(PAGE_ATTR + frame, attr | PAGE_WRITABLE);
      fill(readSet + WRITE_SET + index, va, <u32>paddr, global);
    }
  }
  if (load<u64>(readSet + index) != (va & PAGE)) fill(readSet + index, va, <u32>paddr, global);
}

/** Non-canonical addresses: #SS for the stack segment, else #GP (SDM vol. 1 3.3.7.1). */
function checkCanonical(va: u64, stack: bool): void {
  if ((load<u64>(EFER) & 0x400) == 0) return;
  if (<u64>((<i64>va << 16) >> 16) != va) raiseError(stack ? 12 : 13, 0);
}

// ---- the counting build: which accesses would miss a real TLB ----
//
// Built with COUNT_TLB defined, the software TLB holds, of each set of a real first level, no more than the page that was used last (16 indices, which all reads,
// writes and privileges share). A hit in it is a hit of the real one that changes no order of use, so only the others are told, and a model (engine/regimes/tlb-model.ts)
// counts exactly what it would if it were told of every access. Large pages have 8 sets of their own for data, one for fetches; COUNT_LARGE names the one each index is part of.

const COUNT_LARGE: usize = TLB + 0xd0000;
const COUNT_LARGE_SETS: u64 = 8;

function countAccess(va: u64, kind: u32): void {
  if (!paged()) return;
  const wide = (load<u64>(CR4) & 0x20) != 0;
  const long = (load<u64>(EFER) & 0x400) != 0;
  const missing: u32 = (long ? 4 : 2) - walkTables;
  const shift: u64 = missing == 0 ? 12 : missing == 2 ? 30 : wide ? 21 : 22;
  const global: u32 = walkGlobal && (load<u64>(CR4) & 0x80) != 0 ? TLB_GLOBAL : 0;
  hostTlbAccess(<u32>(va >> 12), <u32>(va >> 44), kind | global | (<u32>shift << TLB_SHIFT));
  const isFetch = (kind & TLB_FETCH) != 0;
  const index = <u32>(va >> 12) & (COUNT_ENTRIES - 1);
  countClear(index, va & PAGE, isFetch);
  const large = COUNT_LARGE + (isFetch ? COUNT_ENTRIES << 3 : 0);
  store<u64>(large + (index << 3), shift == 12 ? 0 : (va >> shift) + 1);
  if (shift == 12) return;
  for (let i: u32 = 0; i < COUNT_ENTRIES; i++) {
    const other = load<u64>(large + (i << 3));
    if (other == 0 || other == (va >> shift) + 1 || (!isFetch && ((other - 1 ^ va >> shift) & (COUNT_LARGE_SETS - 1)) != 0)) continue;
    countClear(i, NONE, isFetch);
    store<u64>(large + (i << 3), 0);
  }
}

/** Forgets all translations at an index but those of a page. */
function countClear(index: u32, page: u64, isFetch: bool): void {
  if (isFetch) {
    for (let user: u32 = 0; user < 2; user++) {
      const e = FETCH + user * FETCH_SET + (index << 4);
      if (load<u64>(e) != page) store<u64>(e, NONE);
    }
    return;
  }
  for (let set: u32 = 0; set < 6; set++) {
    const e = TLB + set * SET_BYTES + (index << 4);
    if (load<u64>(e) != page) store<u64>(e, NONE);
  }
}

/** Guest-physical address of a data access; fills the TLB of the set at `readSet`. */
function translate(va: u64, access: u32, user: u32, readSet: usize, implicitSupervisor: bool): u64 {
  let paddr: u64;
  if (paged()) {
    walk(va, access, user, implicitSupervisor, false);
    paddr = walkPhysical;
    if (isDefined(COUNT_TLB)) countAccess(va, user != 0 ? TLB_USER : 0);
  } else paddr = va & 0xffffffff;
  fillData(va, paddr, access, readSet);
  return paddr;
}

/** Physical address for a fetch; raises #PF. Uses and fills the fetch TLB. */
export function translateFetch(va: u64): u64 {
  if (!paged()) return va & 0xffffffff;
  const user: u32 = load<u32>(CPL) == 3 ? 1 : 0;
  const e = FETCH + user * FETCH_SET + ((<u32>(va >> 12) & (FETCH_ENTRIES - 1)) << 4);
  if (load<u64>(e) == (va & PAGE)) return <u64>((load<u32>(e, 12) & ~FETCH_GLOBAL) << 12 | <u32>(va & 0xfff));
  walk(va, ACCESS_EXEC, user, false, false);
  const paddr = walkPhysical;
  if (isDefined(COUNT_TLB)) countAccess(va, TLB_FETCH | (user != 0 ? TLB_USER : 0));
  if (paddr < <u64>load<u32>(RAM_SIZE)) {
    markWalked();
    const global = walkGlobal && (load<u64>(CR4) & 0x80) != 0;
    fill(e, va, <u32>paddr, global);
    if (global && load<u64>(e) == (va & PAGE)) store<u32>(e, load<u32>(e, 12) | FETCH_GLOBAL, 12);
  }
  return paddr;
}

/** The generation for which a look-up of code at va holds, which has just been fetched: that of global translations if it is one. */
export function fetchGeneration(va: u64): u32 {
  if (!paged()) return load<u32>(GENERATION);
  const user: u32 = load<u32>(CPL) == 3 ? 1 : 0;
  const e = FETCH + user * FETCH_SET + ((<u32>(va >> 12) & (FETCH_ENTRIES - 1)) << 4);
  return load<u64>(e) == (va & PAGE) && (load<u32>(e, 12) & FETCH_GLOBAL) != 0 ? load<u32>(GENERATION_GLOBAL) : load<u32>(GENERATION);
}

/**
 * For debuggers: the physical address of a linear one as the running code sees it, or all ones. Changes nothing, not even A bits.
 */
export function inspectAddress(va: u64): u64 {
  if (!paged()) return va & 0xffffffff;
  const cr4 = load<u64>(CR4);
  if ((cr4 & 0x20) == 0) {
    const pdeAddress = (load<u64>(CR3) & 0xfffff000) | (va >> 22 << 2 & 0xffc);
    if (pdeAddress + 4 > <u64>load<u32>(RAM_SIZE)) return NONE;
    const pde = load<u32>(<usize>(RAM + <u32>pdeAddress));
    if ((pde & 1) == 0) return NONE;
    if ((pde & 0x80) != 0 && (cr4 & 0x10) != 0) return <u64>(pde & 0xffc00000) | (va & 0x3fffff);
    const pteAddress = <u64>(pde & 0xfffff000) | (va >> 12 << 2 & 0xffc);
    if (pteAddress + 4 > <u64>load<u32>(RAM_SIZE)) return NONE;
    const pte = load<u32>(<usize>(RAM + <u32>pteAddress));
    return (pte & 1) == 0 ? NONE : <u64>(pte & 0xfffff000) | (va & 0xfff);
  }
  let table: u64;
  if (load<u64>(EFER) & 0x400) {
    const pml4e = tableEntry64((load<u64>(CR3) & FRAME) | (va >> 39 << 3 & 0xff8));
    if ((pml4e & 1) == 0) return NONE;
    const pdpte = tableEntry64((pml4e & FRAME) | (va >> 30 << 3 & 0xff8));
    if ((pdpte & 1) == 0) return NONE;
    if (pdpte & 0x80) return (pdpte & FRAME & ~<u64>0x3fffffff) | (va & 0x3fffffff);
    table = pdpte & FRAME;
  } else {
    const pdpte = load<u64>(PDPTE + (<i32>(va >> 30 & 3) << 3));
    if ((pdpte & 1) == 0) return NONE;
    table = pdpte & FRAME;
  }
  const pde = tableEntry64(table | (va >> 21 << 3 & 0xff8));
  if ((pde & 1) == 0) return NONE;
  if (pde & 0x80) return (pde & FRAME & ~<u64>0x1fffff) | (va & 0x1fffff);
  const pte = tableEntry64((pde & FRAME) | (va >> 12 << 3 & 0xff8));
  return (pte & 1) == 0 ? NONE : (pte & FRAME) | (va & 0xfff);
}

// ---- physical accesses ----

function device(paddr: u64): bool {
  return paddr <= 0xffffffff;
}

/** Device accesses happen in blocks of one instruction, so that what follows sees the interrupts and the time they caused. */
function requireIsolation(): void {
  if (!isolated()) retry();
}
/** True when the running instruction is alone in its block, or no block runs. */
export function isolated(): bool {
  const block = load<u32>(BLOCK);
  return load<u32>(ISOLATE) != 0 || block == 0 || load<u16>(block, 10) == 1;
}

function physicalLoad(paddr: u64, size: u32): u64 {
  if (paddr + size <= <u64>load<u32>(RAM_SIZE)) {
    const host = <usize>(RAM + <u32>paddr);
    if (observed(<u32>(paddr >> 12)) & WATCH_READ) {
      requireIsolation();
      hostObserveAccess(ACCESS_LOAD, <u32>paddr, size);
    }
    if (size == 8) return load<u64>(host);
    if (size == 4) return <u64>load<u32>(host);
    if (size == 2) return <u64>load<u16>(host);
    return <u64>load<u8>(host);
  }
  if (!device(paddr)) return NONE;
  requireIsolation();
  hostMmioRead(<u32>paddr, size);
  return load<u64>(MAILBOX);
}

/** Does what a store to RAM owes to decoded code, page tables and the dirty set. */
export function beforeStore(paddr: u32, size: u32): void {
  const frame = paddr >> 12;
  const attr = load<u8>(PAGE_ATTR + frame);
  if (attr & PAGE_CODE) {
    if (!isolated() && codeWriteHits(paddr, size)) retry();
    codeWrite(paddr, size);
  }
  markDirty(frame);
}

/** True when changing these bytes changes an entry that was present. */
function changesPresent(paddr: u32, size: u32, value: u64): bool {
  const wide = (load<u64>(CR4) & 0x20) != 0;
  const from = wide ? paddr & ~7 : paddr & ~3;
  const host = <usize>(RAM + paddr);
  let same: bool;
  if (size == 8) same = load<u64>(host) == value;
  else if (size == 4) same = load<u32>(host) == <u32>value;
  else if (size == 2) same = load<u16>(host) == <u16>value;
  else same = load<u8>(host) == <u8>value;
  if (same) return false;
  const end = paddr + size;
  if (wide) {
    for (let a = from; a < end; a += 8) if (load<u8>(<usize>(RAM + a)) & 1) return true;
  } else {
    for (let a = from; a < end; a += 4) if (load<u8>(<usize>(RAM + a)) & 1) return true;
  }
  return false;
}

function tableChanged(paddr: u32, size: u32): void {
  // The rest of the running block was fetched through its page's translation: when this very entry is on that path,
  // the store runs alone and the next instruction is fetched anew.
  if (!isolated()) {
    const user: u32 = load<u32>(CPL) == 3 ? 1 : 0;
    const from = paddr & ~7;
    const end = paddr + size;
    if (!walk(load<u64>(REGS + (REG_PAGE << 3)), ACCESS_EXEC, user, false, true)) retry();
    if ((walkTables > 0 && walkEntry0 >= from && walkEntry0 < end) || (walkTables > 1 && walkEntry1 >= from && walkEntry1 < end)
      || (walkTables > 2 && walkEntry2 >= from && walkEntry2 < end) || (walkTables > 3 && walkEntry3 >= from && walkEntry3 < end)) retry();
  }
  // A block of its own must not go on in its physical page either.
  store<u64>(STOP_AT, 0);
  const attr = load<u8>(PAGE_ATTR + (paddr >> 12));
  if (attr & PAGE_TABLE_GLOBAL) tlbFlushAll();
  else tlbFlushNonGlobal();
}

function physicalStore(paddr: u64, size: u32, value: u64): void {
  if (paddr + size <= <u64>load<u32>(RAM_SIZE)) {
    const address = <u32>paddr;
    const host = <usize>(RAM + address);
    const attr = load<u8>(PAGE_ATTR + (address >> 12));
    if (observed(address >> 12) & WATCH_WRITE) {
      requireIsolation();
      hostObserveAccess(ACCESS_STORE, address, size);
    }
    if (attr & (PAGE_CODE | PAGE_TABLE | PAGE_TABLE_GLOBAL | PAGE_LEVELS)) {
      if (attr & PAGE_LEVELS) requireIsolation();
      if ((attr & (PAGE_TABLE | PAGE_TABLE_GLOBAL)) != 0 && changesPresent(address, size, value)) tableChanged(address, size);
      beforeStore(address, size);
      if (attr & PAGE_LEVELS) tableStore(address, size, value);
    } else markDirty(address >> 12);
    if (size == 8) store<u64>(host, value);
    else if (size == 4) store<u32>(host, <u32>value);
    else if (size == 2) store<u16>(host, <u16>value);
    else store<u8>(host, <u8>value);
    return;
  }
  if (!device(paddr)) return;
  requireIsolation();
  store<u64>(MAILBOX, value);
  hostMmioWrite(<u32>paddr, size);
}

/** Readies a range inside one page of RAM for a bulk store by REP or a device. */
export function prepareBulkStore(paddr: u32, length: u32): void {
  const attr = load<u8>(PAGE_ATTR + (paddr >> 12));
  if (attr & (PAGE_TABLE | PAGE_TABLE_GLOBAL | PAGE_LEVELS)) tableChanged(paddr, length);
  ceaseTable(paddr >> 12, <u8>PAGE_LEVELS);
  beforeStore(paddr, length);
}

/** A device wrote guest memory: exported to the machine, called before the bytes change. */
export function deviceWrite(paddr: u32, length: u32): void {
  const block = load<u32>(BLOCK);
  let at = paddr;
  const end = paddr + length;
  while (at < end) {
    let n: u32 = 4096 - (at & 4095);
    if (n > end - at) n = end - at;
    // While the running instruction is known: it is the position of the write.
    marker = ACCESS_DEVICE;
    markDirty(at >> 12);
    marker = ACCESS_STORE;
    store<u32>(BLOCK, 0);
    if (observed(at >> 12) & WATCH_WRITE) hostObserveAccess(ACCESS_DEVICE, at, n);
    prepareBulkStore(at, n);
    store<u32>(BLOCK, block);
    at += n;
  }
}

// ---- slow paths of loads and stores ----

function loadVia(va: u64, size: u32, user: u32, readSet: usize, implicitSupervisor: bool, stack: bool): u64 {
  checkCanonical(va, stack);
  if ((<u32>va & 0xfff) + size > 4096) {
    checkCanonical(va + size - 1, stack);
    const first: u32 = 4096 - (<u32>va & 0xfff);
    const low = translate(va, ACCESS_READ, user, readSet, implicitSupervisor);
    const wrap = (load<u64>(EFER) & 0x400) != 0 ? va + first : (va + first) & 0xffffffff;
    const high = translate(wrap, ACCESS_READ, user, readSet, implicitSupervisor);
    let value: u64 = 0;
    for (let i: u32 = 0; i < size; i++) {
      const b = i < first ? physicalLoad(low + i, 1) : physicalLoad(high + (i - first), 1);
      value |= (b & 0xff) << (i << 3);
    }
    if ((load<u64>(DR7) & 0xff) != 0) watch(va, size, false);
    return value;
  }
  const value = physicalLoad(translate(va, ACCESS_READ, user, readSet, implicitSupervisor), size);
  if ((load<u64>(DR7) & 0xff) != 0) watch(va, size, false);
  return value;
}

function storeVia(va: u64, size: u32, value: u64, user: u32, readSet: usize, implicitSupervisor: bool, stack: bool): void {
  checkCanonical(va, stack);
  if ((<u32>va & 0xfff) + size > 4096) {
    checkCanonical(va + size - 1, stack);
    const first: u32 = 4096 - (<u32>va & 0xfff);
    const wrap = (load<u64>(EFER) & 0x400) != 0 ? va + first : (va + first) & 0xffffffff;
    const low = translate(va, ACCESS_WRITE, user, readSet, implicitSupervisor);
    const high = translate(wrap, ACCESS_WRITE, user, readSet, implicitSupervisor);
    // Whatever may unwind does so before the first byte changes.
    if (low < <u64>load<u32>(RAM_SIZE)) prepareBulkStore(<u32>low, first);
    if (high < <u64>load<u32>(RAM_SIZE)) prepareBulkStore(<u32>high, size - first);
    for (let i: u32 = 0; i < size; i++) {
      const b = value >> (i << 3) & 0xff;
      if (i < first) physicalStore(low + i, 1, b);
      else physicalStore(high + (i - first), 1, b);
    }
    if ((load<u64>(DR7) & 0xff) != 0) watch(va, size, true);
    return;
  }
  physicalStore(translate(va, ACCESS_WRITE, user, readSet, implicitSupervisor), size, value);
  if ((load<u64>(DR7) & 0xff) != 0) watch(va, size, true);
}

// @ts-ignore: decorator
@inline
function isUser(): u32 {
  return load<u32>(CPL) == 3 ? 1 : 0;
}
// @ts-ignore: decorator
@inline
function stackOperand(p: usize): bool {
  return p != 0 && (load<u8>(p, 7) == (SS << 3) || load<u8>(p, 7) == (SEG_FLAT_STACK << 3));
}
/** Stores of these go to the stack, whatever their operand's segment. */
function stackStoreOperand(p: usize): bool {
  if (stackOperand(p)) return true;
  const op: u32 = p != 0 ? load<u16>(p) : 0;
  return op == CALL64 || op == CALL_R64 || op == CALL_M64 || op == PUSH_M64;
}
function isRep(p: usize): bool {
  const op: u32 = p != 0 ? load<u16>(p) : 0;
  return (op == OP_HELP || op == OP_HELP_END || op == OP_HELP_JUMP) && load<u32>(p, 20) == H_REP_STRING;
}
/** The set that slow accesses fill. */
function dataSet(): u32 {
  const set = load<u32>(TLB_READ);
  return set == <u32>ALIGNED ? <u32>TLB + MODE_BYTES : set;
}
function checkAligned(va: u64, size: u32, stack: bool): void {
  if (load<u32>(TLB_READ) != <u32>ALIGNED || (va & <u64>(size - 1)) == 0) return;
  checkCanonical(va, stack);
  raiseError(17, 0);
}

export function loadSlow(va: u64, size: u32, p: usize): u64 {
  store<u32>(CURSOR, <u32>p);
  checkAligned(va, size, stackOperand(p));
  return loadVia(va, size, isUser(), dataSet(), false, stackOperand(p));
}
export function storeSlow(va: u64, size: u32, value: u64, p: usize): void {
  store<u32>(CURSOR, <u32>p);
  checkAligned(va, size, stackStoreOperand(p));
  isRepStore = isRep(p);
  storeVia(va, size, value, isUser(), dataSet(), false, stackStoreOperand(p));
}
/** The load half of a read-modify-write: faults as a write. */
export function loadForStoreSlow(va: u64, size: u32, p: usize): u64 {
  store<u32>(CURSOR, <u32>p);
  checkAligned(va, size, stackOperand(p));
  probeWrite(va, size);
  return loadVia(va, size, isUser(), dataSet(), false, stackOperand(p));
}

/** Host address of a load of T, or 0 when the slow path must be taken. */
// @ts-ignore: decorator
@inline
export function hostRead<T>(va: u64): usize {
  const e = load<u32>(TLB_READ) + (<u32>(va >> 8) & (MASK << 4));
  return load<u64>(e) == ((va + (sizeof<T>() - 1)) & PAGE) ? <usize>(<u32>va + load<u32>(e, 8)) : 0;
}
// @ts-ignore: decorator
@inline
export function hostWrite<T>(va: u64): usize {
  const e = load<u32>(TLB_WRITE) + (<u32>(va >> 8) & (MASK << 4));
  return load<u64>(e) == ((va + (sizeof<T>() - 1)) & PAGE) ? <usize>(<u32>va + load<u32>(e, 8)) : 0;
}

/** Load at a linear address for the micro-op at p. */
// @ts-ignore: decorator
@inline
export function mload<T>(va: u64, p: usize): T {
  const host = hostRead<T>(va);
  if (host) return load<T>(host);
  return <T>loadSlow(va, sizeof<T>(), p);
}
// @ts-ignore: decorator
@inline
export function mstore<T>(va: u64, value: T, p: usize): void {
  const host = hostWrite<T>(va);
  if (host) store<T>(host, value);
  else storeSlow(va, sizeof<T>(), <u64>value, p);
}

// ---- for helpers that run with CURSOR set ----

export function ld8(va: u64): u32 { return <u32>mload<u8>(va, load<u32>(CURSOR)); }
export function ld16(va: u64): u32 { return <u32>mload<u16>(va, load<u32>(CURSOR)); }
export function ld32(va: u64): u32 { return mload<u32>(va, load<u32>(CURSOR)); }
export function ld64(va: u64): u64 { return mload<u64>(va, load<u32>(CURSOR)); }
export function ld128(va: u64): v128 {
  const host = hostRead<v128>(va);
  if (host) return v128.load(host);
  const p = load<u32>(CURSOR);
  const low = loadSlow(va, 8, p);
  const high = loadSlow(va + 8, 8, p);
  return i64x2.replace_lane(i64x2.splat(<i64>low), 1, <i64>high);
}
export function st8(va: u64, value: u32): void { mstore<u8>(va, <u8>value, load<u32>(CURSOR)); }
export function st16(va: u64, value: u32): void { mstore<u16>(va, <u16>value, load<u32>(CURSOR)); }
export function st32(va: u64, value: u32): void { mstore<u32>(va, value, load<u32>(CURSOR)); }
export function st64(va: u64, value: u64): void { mstore<u64>(va, value, load<u32>(CURSOR)); }
export function st128(va: u64, value: v128): void {
  const host = hostWrite<v128>(va);
  if (host) { v128.store(host, value); return; }
  const p = load<u32>(CURSOR);
  probeWrite(va, 16);
  storeSlow(va, 8, i64x2.extract_lane(value, 0), p);
  storeSlow(va + 8, 8, i64x2.extract_lane(value, 1), p);
}

/** Raises what a store of `length` bytes would raise and readies the pages, without storing. */
export function probeWrite(va: u64, length: u32): void {
  const p = load<u32>(CURSOR);
  const stack = stackOperand(p);
  checkCanonical(va, stack);
  checkCanonical(va + length - 1, stack);
  const set = dataSet();
  const first = translate(va, ACCESS_WRITE, isUser(), set, false);
  let second: u64 = NONE;
  if ((<u32>va & 0xfff) + length > 4096) second = translate((va + length - 1) & PAGE, ACCESS_WRITE, isUser(), set, false);
  // A device or the running block in the way: unwind now rather than between two parts.
  if (!isolated()) {
    if (!ordinary(first) || (second != NONE && !ordinary(second))) retry();
  }
}
function ordinary(paddr: u64): bool {
  if (paddr >= <u64>load<u32>(RAM_SIZE)) return false;
  return (load<u8>(PAGE_ATTR + <usize>(paddr >> 12)) & (PAGE_CODE | PAGE_TABLE | PAGE_TABLE_GLOBAL | PAGE_LEVELS)) == 0 && observed(<u32>(paddr >> 12)) == 0;
}
/** Raises what a load would raise. */
export function probeRead(va: u64, length: u32): void {
  const stack = stackOperand(load<u32>(CURSOR));
  checkCanonical(va, stack);
  checkCanonical(va + length - 1, stack);
  translate(va, ACCESS_READ, isUser(), dataSet(), false);
  if ((<u32>va & 0xfff) + length > 4096) translate((va + length - 1) & PAGE, ACCESS_READ, isUser(), dataSet(), false);
}

// ---- accesses of the CPU itself (descriptor tables, TSS): supervisor whatever the CPL ----

const SYSTEM_SET: usize = TLB + 2 * MODE_BYTES;
export function systemLoad(va: u64, size: u32): u64 {
  return loadVia(va, size, 0, systemSet(), true, false);
}
export function systemStore(va: u64, size: u32, value: u64): void {
  isRepStore = false;
  storeVia(va, size, value, 0, systemSet(), true, false);
}
function systemSet(): usize {
  return (load<u64>(CR4) & 0x200000) != 0 ? SYSTEM_SET : TLB;
}
/** Pushes of event delivery, with the privilege of the handler. */
export function stackStore(va: u64, size: u32, value: u64, cpl: u32): void {
  const user: u32 = cpl == 3 ? 1 : 0;
  isRepStore = false;
  storeVia(va, size, value, user, user ? TLB + MODE_BYTES : systemSet(), user == 0, true);
}

/** RAM behind a virtual address for a bulk move inside its page: host address, or 0 when it is not plain RAM. */
export function bulkRead(va: u64): usize {
  const p = load<u32>(CURSOR);
  checkCanonical(va, false);
  const host = hostRead<u8>(va);
  if (host) return host;
  if (load<u32>(TLB_READ) == <u32>ALIGNED) return 0;
  const paddr = translate(va, ACCESS_READ, isUser(), load<u32>(TLB_READ), false);
  return paddr < <u64>load<u32>(RAM_SIZE) && !watchedPage(va) && observed(<u32>(paddr >> 12)) == 0 ? <usize>(RAM + <u32>paddr) : 0;
}
export function bulkWrite(va: u64, length: u32): usize {
  checkCanonical(va, false);
  const host = hostWrite<u8>(va);
  if (host) return host;
  if (load<u32>(TLB_READ) == <u32>ALIGNED) return 0;
  const paddr = translate(va, ACCESS_WRITE, isUser(), load<u32>(TLB_READ), false);
  if (paddr >= <u64>load<u32>(RAM_SIZE) || watchedPage(va) || observed(<u32>(paddr >> 12)) != 0) return 0;
  prepareBulkStore(<u32>paddr, length);
  return <usize>(RAM + <u32>paddr);
}
