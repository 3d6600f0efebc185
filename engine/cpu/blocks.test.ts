/** The cache of decoded code: what was decoded is found again, and only where it is the same code. */
import { expect, it } from 'vitest';
import { loadCore } from '../../test/conformance/engine-runner.ts';
import { Core, type CoreHandlers } from './core.ts';
import * as L from './layout.ts';

const RAM_BYTES = 16 << 20;
const [PML4, OTHER_PML4, TABLES, CODE] = [0x1000, 0x2000, 0x10000, 0x200000];
const PRESENT_WRITABLE_ACCESSED_DIRTY = 0x63;
const HLT = 0xf4;

/** A core in 64-bit mode at privilege 0 that maps linear addresses to themselves, by small pages. */
function newCore(): Core {
  const unexpected = (): never => {
    throw new Error('the code reached a device');
  };
  const handlers: CoreHandlers = {
    ioRead: unexpected, ioWrite: unexpected, mmioRead: unexpected, mmioWrite: unexpected, acknowledge: unexpected, cpuid: unexpected, rdmsr: unexpected, wrmsr: unexpected, readTpr: unexpected, writeTpr: unexpected,
    exitEvent: (reason) => {
      if (reason !== L.REASON_HLT) throw new Error(`the code left for reason ${reason}`);
    },
  }; // prettier-ignore
  const core = new Core(loadCore(), RAM_BYTES, handlers);
  for (const [i, root] of [PML4, OTHER_PML4].entries()) {
    const [pdpt, directory] = [TABLES + i * 0x10000, TABLES + i * 0x10000 + 0x1000];
    entry(core, root, 0, pdpt);
    entry(core, pdpt, 0, directory);
    for (let table = 0; table < RAM_BYTES >> 21; table++) {
      entry(core, directory, table, directory + 0x1000 * (table + 1));
      for (let page = 0; page < 512; page++) entry(core, directory + 0x1000 * (table + 1), page, (table << 21) + (page << 12));
    }
  }
  core.setBig(L.CR0, 0x80050033n);
  core.setBig(L.CR3, BigInt(PML4));
  core.setBig(L.CR4, 0x6a0n);
  core.setBig(L.EFER, 0xd01n);
  for (const segment of [L.ES, L.CS, L.SS, L.DS]) {
    const at = L.SEGS + segment * L.SEG_SIZE;
    core.u16[at >>> 1] = segment === L.CS ? 8 : 16;
    core.u32[(at + L.SEG_ATTR) >>> 2] = segment === L.CS ? 0xa09b : 0xc093;
    core.u32[(at + L.SEG_LIMIT) >>> 2] = 0xffffffff;
  }
  core.exports.setFlags(2n);
  core.exports.updateMode();
  core.exports.tlbFlushAll();
  return core;
}
function entry(core: Core, table: number, index: number, target: number): void {
  core.setNumber(L.RAM + table + index * 8, target | PRESENT_WRITABLE_ACCESSED_DIRTY);
}

/** Runs from an address to the next HLT; EAX. */
function runFrom(core: Core, address: number): number {
  core.setNumber(L.RIP, address);
  core.u32[L.HALTED >>> 2] = 0;
  core.setNumber(L.LIMIT, core.number(L.ICOUNT) + 1_000_000);
  expect(core.run()).toBe(L.EXIT_HLT);
  return core.u32[L.REGS >>> 2];
}

it('a hundred thousand blocks are found again, each', () => {
  const core = newCore();
  const bytes = new Uint8Array(100_000 * 16).fill(HLT);
  // jmp to the next one, 14 bytes on
  for (let at = 0; at + 16 < bytes.length; at += 16) bytes.set([0xeb, 14], at);
  core.writePhysical(CODE, bytes);
  runFrom(core, CODE);
  let lost = 0;
  for (let at = 0; at < bytes.length; at += 16) if (core.exports.blockAt(CODE + at) === 0) lost++;
  expect(lost).toBe(0);
});

it('an instruction in two pages is the one of the second page that is mapped, and as it is now', () => {
  const core = newCore();
  const [near, far] = [CODE + 0x1000, CODE + 0x8000];
  // mov eax, imm32, the upper half of the operand in the next page; hlt
  const at = near - 3;
  core.writePhysical(at, Uint8Array.of(0xb8, 1, 0));
  core.writePhysical(near, Uint8Array.of(2, 0, HLT));
  core.writePhysical(far, Uint8Array.of(3, 0, HLT));
  entry(core, TABLES + 0x10000 + 0x1000 + 0x1000 * ((near >> 21) + 1), (near >> 12) & 511, far);
  const seen: number[] = [];
  for (let i = 0; i < 6; i++) {
    core.setBig(L.CR3, BigInt(i % 2 === 0 ? PML4 : OTHER_PML4));
    core.exports.tlbFlushAll();
    if (i === 4) core.writePhysical(near, Uint8Array.of(7));
    seen.push(runFrom(core, at));
  }
  expect(seen).toEqual([0x20001, 0x30001, 0x20001, 0x30001, 0x70001, 0x30001]);
});

it('code that an earlier run compiled begins hot, wherever it is, a few times', () => {
  const core = newCore();
  // mov eax, imm32; hlt
  const code = Uint8Array.of(0xb8, 1, 2, 3, 4, HLT);
  const heatAt = (at: number): number => {
    core.writePhysical(at, code);
    runFrom(core, at);
    return core.u32[(core.exports.blockAt(at) + L.BLOCK_HEAT) >>> 2];
  };
  // Interpreted once.
  expect(heatAt(CODE)).toBe(1);
  const keyAt = (at: number): bigint => BigInt.asUintN(64, core.exports.codeKey(core.exports.blockAt(at)));
  const key = keyAt(CODE);
  const low = (1n << BigInt(L.PROFILE_BITS)) - 1n;
  expect(key & low).toBe(0n);
  // Where it is in its page counts, and each byte of it; which page it is in does not.
  heatAt(CODE + 0x5000);
  expect(keyAt(CODE + 0x5000)).toBe(key);
  const others = new Set([key]);
  heatAt(CODE + 0x5001);
  others.add(keyAt(CODE + 0x5001));
  for (let i = 1; i < code.length - 1; i++) {
    code[i]++;
    heatAt(CODE);
    others.add(keyAt(CODE));
    code[i]--;
  }
  expect(others.size).toBe(code.length);

  const slot = (L.PROFILE >>> 3) + Number(key >> 48n);
  const tell = (entry: bigint): void => void (core.u64[slot] = entry);
  const [none, soon, late, member] = [0, L.PROFILE_SOON, L.PROFILE_LATE, L.PROFILE_MEMBER].map((kind) => (L.PROFILE_HEATS >>> 2) + kind);
  [core.u32[none], core.u32[soon], core.u32[late], core.u32[member]] = [1, 1000, 500, 300];
  const entryOf = (left: number, kind: number): bigint => key | BigInt((left << L.PROFILE_LEFT) | kind);
  tell(entryOf(2, L.PROFILE_SOON));
  expect([0x6000, 0x7000, 0x8000].map((at) => heatAt(CODE + at))).toEqual([1001, 1001, 1]);
  tell(entryOf(1, L.PROFILE_LATE));
  expect([0x9000, 0xa000].map((at) => heatAt(CODE + at))).toEqual([501, 1]);
  expect(core.u32[L.PROFILE_BEGUN >>> 2]).toBe(3);
  // Behind another with the same slot; a table without an end has one for the search.
  tell(entryOf(1, L.PROFILE_SOON) ^ (1n << 20n));
  core.u64[slot + 1] = entryOf(1, L.PROFILE_MEMBER);
  expect(heatAt(CODE + 0xb000)).toBe(301);
  core.u64.fill(entryOf(1, L.PROFILE_SOON) ^ (1n << 20n), L.PROFILE >>> 3, (L.PROFILE >>> 3) + L.PROFILE_SLOTS);
  expect(heatAt(CODE + 0xc000)).toBe(1);
  // Without a profile nobody looks.
  tell(entryOf(1, L.PROFILE_SOON));
  core.u32[none] = 0;
  expect(heatAt(CODE + 0xd000)).toBe(1);
});
