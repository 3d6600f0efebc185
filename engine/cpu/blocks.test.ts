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
