import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BootError, type BootErrorCode } from './errors.ts';
import { descriptor } from './gdt.ts';
import type { BootImages, BootOptions, BootPlan } from './plan.ts';
import { planBoot } from './select.ts';
import { buildBzImage, buildElf, multibootHeader, packLz4, pvhNote } from './testing.ts';

const MIB = 1 << 20;
const OPTIONS: BootOptions = { memoryBytes: 64 * MIB, commandLine: 'console=ttyS0' };

function plan(kernel: Uint8Array, options: Partial<BootOptions> = {}, images: Partial<BootImages> = {}): BootPlan {
  return planBoot({ kernel, ...images }, { ...OPTIONS, ...options });
}

function codeOf(action: () => unknown): BootErrorCode | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof BootError) return error.code;
    throw error;
  }
  return undefined;
}

/** Guest memory as the plan leaves it. */
function memoryOf(plan: BootPlan): DataView {
  const memory = new Uint8Array(OPTIONS.memoryBytes);
  let end = 0;
  for (const load of plan.loads) {
    expect(load.paddr).toBeGreaterThanOrEqual(end);
    end = load.paddr + load.bytes.length;
    memory.set(load.bytes, load.paddr);
  }
  return new DataView(memory.buffer);
}

function textAt(memory: DataView, address: number): string {
  let text = '';
  for (let at = address; memory.getUint8(at) !== 0; at++) text += String.fromCharCode(memory.getUint8(at));
  return text;
}

/** The hidden parts of the segment registers are what the GDT at entry says. */
function expectGdtAgrees(plan: BootPlan): void {
  const memory = memoryOf(plan);
  for (const segment of Object.values(plan.cpu.segments)) {
    expect(segment.selector + 7).toBeLessThanOrEqual(plan.cpu.gdtLimit);
    expect(memory.getBigUint64(Number(plan.cpu.gdtBase) + segment.selector, true)).toBe(descriptor(segment));
  }
}

const PVH_ELF = buildElf({
  loads: [{ paddr: 0x1000000n, bytes: Uint8Array.of(0xf4), memorySize: 0x5000 }],
  notes: [pvhNote(0x1000000)],
});
const PLAIN_ELF = buildElf({ entry: 0x1000000n, loads: [{ paddr: 0x1000000n, bytes: Uint8Array.of(0xf4) }] });
const MULTIBOOT_ELF = buildElf({
  class: 32,
  entry: 0x100000n,
  prefix: multibootHeader(3),
  loads: [{ paddr: 0x100000n, bytes: Uint8Array.of(0xf4), memorySize: 0x1800 }],
});
const INITRD = new Uint8Array(5000).fill(0xcc);

describe('the choice of protocol', () => {
  it.each([
    ['a bzImage whose ELF has the PVH note', buildBzImage({ payload: packLz4(PVH_ELF) }), 'pvh'],
    ['a bzImage whose ELF has none', buildBzImage({ payload: packLz4(PLAIN_ELF) }), 'linux64'],
    ['a bzImage of unknown compression', buildBzImage({ payload: new Uint8Array(64) }), 'linux64'],
    ['an ELF with the PVH note', PVH_ELF, 'pvh'],
    ['an ELF with a Multiboot header', MULTIBOOT_ELF, 'multiboot1'],
    ['a plain ELF', PLAIN_ELF, 'linux64'],
    ['a flat Multiboot kernel', flatMultiboot(), 'multiboot1'],
  ])('takes %s by itself', (_what, kernel, protocol) => {
    const made = plan(kernel);
    expect(made.protocol).toBe(protocol);
    expectGdtAgrees(made);
  });

  it('obeys when told', () => {
    const bzImage = buildBzImage({ payload: packLz4(PVH_ELF) });
    expect(plan(bzImage, { protocol: 'linux64' }).protocol).toBe('linux64');
    expect(plan(PVH_ELF, { protocol: 'linux64' }).protocol).toBe('linux64');
    expect(codeOf(() => plan(PLAIN_ELF, { protocol: 'pvh' }))).toBe('protocol-unavailable');
    expect(codeOf(() => plan(PLAIN_ELF, { protocol: 'multiboot' }))).toBe('protocol-unavailable');
    expect(codeOf(() => plan(MULTIBOOT_ELF, { protocol: 'linux64' }))).toBe('protocol-unavailable');
    expect(codeOf(() => plan(buildBzImage({ payload: new Uint8Array(64) }), { protocol: 'pvh' }))).toBe('protocol-unavailable');
  });

  it('says why it fell back', () => {
    expect(plan(buildBzImage({ payload: new Uint8Array(64) })).notes[0]).toBe(
      'unsupported payload compression (unknown), falling back to the 64-bit boot protocol',
    );
  });
});

describe('PVH', () => {
  it('starts in protected mode with the start information', () => {
    const made = plan(PVH_ELF, { rsdpAddress: 0xe0000 }, { initrd: INITRD, modules: [{ bytes: INITRD, commandLine: 'two' }] });
    const memory = memoryOf(made);
    expect(made.cpu).toMatchObject({ mode: 'protected32', rip: 0x1000000n, cr0: 0x11n, cr3: 0n, cr4: 0n, efer: 0n, rflags: 2n });
    expect(made.cpu.segments.cs.attr).toBe(0xc09b);
    expect(made.cpu.segments.tr).toMatchObject({ attr: 0x8b, limit: 0x67 });
    const info = Number(made.cpu.registers.rbx);
    expect([memory.getUint32(info, true), memory.getUint32(info + 4, true)]).toEqual([0x336ec578, 1]);
    expect(memory.getUint32(info + 12, true)).toBe(2);
    expect(memory.getBigUint64(info + 32, true)).toBe(0xe0000n);
    expect(textAt(memory, Number(memory.getBigUint64(info + 24, true)))).toBe('console=ttyS0');
    const map = Number(memory.getBigUint64(info + 40, true));
    const ranges = Array.from({ length: memory.getUint32(info + 48, true) }, (_, index) => [
      Number(memory.getBigUint64(map + 24 * index, true)),
      Number(memory.getBigUint64(map + 24 * index + 8, true)),
      memory.getUint32(map + 24 * index + 16, true),
    ]);
    expect(ranges).toEqual([
      [0, 0x9fc00, 1],
      [0x9fc00, 0x60400, 2],
      [0x100000, 63 * MIB, 1],
    ]);
    const list = Number(memory.getBigUint64(info + 16, true));
    const initrd = Number(memory.getBigUint64(list, true));
    expect(initrd).toBe(64 * MIB - 8192);
    expect(memory.getBigUint64(list + 8, true)).toBe(5000n);
    expect(memory.getUint8(initrd + 4999)).toBe(0xcc);
    expect(Number(memory.getBigUint64(list + 32, true))).toBe(64 * MIB - 16384);
    expect(textAt(memory, Number(memory.getBigUint64(list + 48, true)))).toBe('two');
  });
});

describe('the 64-bit Linux protocol', () => {
  it('enters a bzImage in long mode with the zero page', () => {
    const bzImage = buildBzImage({ initrdAddressMax: 32 * MIB - 1 });
    const made = plan(bzImage, { protocol: 'linux64', rsdpAddress: 0xe0000 }, { initrd: INITRD });
    const memory = memoryOf(made);
    expect(made.cpu).toMatchObject({ mode: 'long64', rip: 0x1000200n, cr0: 0x80000011n, cr4: 0x20n, efer: 0x500n });
    expect(made.cpu.segments.cs).toMatchObject({ selector: 0x10, attr: 0xa09b });
    expect(made.cpu.segments.ds.selector).toBe(0x18);
    const zero = Number(made.cpu.registers.rsi);
    expect(memory.getBigUint64(zero + 0x70, true)).toBe(0xe0000n);
    expect(memory.getUint8(zero + 0x1ef)).toBe(0);
    expect(memory.getUint32(zero + 0x202, true)).toBe(0x53726448);
    expect(memory.getUint16(zero + 0x206, true)).toBe(0x20f);
    expect(memory.getUint8(zero + 0x210)).toBe(0xff);
    expect(memory.getUint32(zero + 0x218, true)).toBe(32 * MIB - 8192);
    expect(memory.getUint32(zero + 0x21c, true)).toBe(5000);
    expect(textAt(memory, memory.getUint32(zero + 0x228, true))).toBe('console=ttyS0');
    expect(memory.getUint8(zero + 0x1e8)).toBe(3);
    expect(memory.getBigUint64(zero + 0x2d0 + 40, true)).toBe(0x100000n);
    expect(memory.getUint8(0x1000200)).toBe(0x90);
  });

  it('maps the first 4 GiB one to one', () => {
    const made = plan(PLAIN_ELF);
    const memory = memoryOf(made);
    for (const address of [0n, 0x1000000n, 0x7fe00000n, 0xfee00000n, 0xffe00000n]) {
      const pml4e = memory.getBigUint64(Number(made.cpu.cr3), true);
      const pdpte = memory.getBigUint64(Number((pml4e & ~0xfffn) + 8n * (address >> 30n)), true);
      const pde = memory.getBigUint64(Number((pdpte & ~0xfffn) + 8n * ((address >> 21n) & 511n)), true);
      expect([pml4e & 0xfffn, pdpte & 0xfffn, pde]).toEqual([3n, 3n, address | 0x83n]);
    }
  });

  it('takes one initrd only', () => {
    const two = { initrd: INITRD, modules: [{ bytes: INITRD }] };
    expect(codeOf(() => plan(PLAIN_ELF, {}, two))).toBe('modules-unsupported');
  });
});

describe('Multiboot 1', () => {
  it('starts an ELF with the information structure', () => {
    const made = plan(MULTIBOOT_ELF, {}, { modules: [{ bytes: INITRD, commandLine: 'disk a' }] });
    const memory = memoryOf(made);
    expect(made.cpu).toMatchObject({ mode: 'protected32', rip: 0x100000n, cr0: 0x11n });
    expect(made.cpu.registers.rax).toBe(0x2badb002n);
    const info = Number(made.cpu.registers.rbx);
    expect(memory.getUint32(info, true)).toBe(0x24d);
    expect([memory.getUint32(info + 4, true), memory.getUint32(info + 8, true)]).toEqual([639, 63 * 1024]);
    expect(textAt(memory, memory.getUint32(info + 16, true))).toBe('console=ttyS0');
    const module = memory.getUint32(info + 24, true);
    expect(memory.getUint32(module + 4, true) - memory.getUint32(module, true)).toBe(5000);
    expect(textAt(memory, memory.getUint32(module + 8, true))).toBe('disk a');
    expect(memory.getUint32(info + 44, true)).toBe(72);
    const map = memory.getUint32(info + 48, true);
    expect([memory.getUint32(map, true), memory.getUint32(map + 20, true), memory.getUint32(map + 44, true)]).toEqual([20, 1, 2]);
    expect(textAt(memory, memory.getUint32(info + 64, true))).toBe('chronovisor');
  });

  it('loads a flat kernel by the addresses in its header', () => {
    const made = plan(flatMultiboot());
    const memory = memoryOf(made);
    expect(made.cpu.rip).toBe(0x100020n);
    // The file from its header on is at 0x100000.
    expect(memory.getUint32(0x100000, true)).toBe(0x1badb002);
    expect(memory.getUint8(0x100020)).toBe(0xf4);
  });

  it('refuses what it does not know', () => {
    expect(codeOf(() => plan(buildElf({ class: 32, prefix: multibootHeader(0x8) })))).toBe('multiboot-unsupported');
    const bad = multibootHeader(0x10000, [0x100000, 0x200000, 0, 0, 0x100000]);
    expect(codeOf(() => plan(bad))).toBe('multiboot-unsupported');
  });
});

describe('errors', () => {
  const tooBig = buildElf({ loads: [{ paddr: 0x1000000n, bytes: Uint8Array.of(1), memorySize: 64 * MIB }] });
  const low = buildElf({ loads: [{ paddr: 0x20000n, bytes: new Uint8Array(16) }] });
  const rom = buildElf({ loads: [{ paddr: 0xf0000n, bytes: new Uint8Array(16) }] });
  const bootSector = new Uint8Array(512);
  bootSector.set([0x55, 0xaa], 510);
  it.each<readonly [BootErrorCode, () => unknown]>([
    ['image-empty', () => plan(new Uint8Array(0))],
    ['image-unknown', () => plan(new TextEncoder().encode('#!/bin/sh\necho no kernel\n'))],
    ['kernel-16-bit', () => plan(bootSector)],
    ['machine-unsupported', () => plan(buildElf({ machine: 183 }))],
    ['memory-size', () => plan(PVH_ELF, { memoryBytes: 1 * MIB })],
    ['memory-size', () => plan(PVH_ELF, { memoryBytes: 4096 * MIB })],
    ['memory-size', () => plan(PVH_ELF, { memoryBytes: 64 * MIB + 1 })],
    ['memory-too-small', () => plan(tooBig)],
    ['load-overlap', () => plan(low)],
    ['load-overlap', () => plan(rom)],
    ['module-does-not-fit', () => plan(PVH_ELF, {}, { initrd: new Uint8Array(48 * MIB) })],
    ['module-does-not-fit', () => plan(PVH_ELF, {}, { initrd: new Uint8Array(100 * MIB) })],
    ['module-empty', () => plan(PVH_ELF, {}, { initrd: new Uint8Array(0) })],
    ['modules-too-many', () => plan(PVH_ELF, {}, { modules: Array.from({ length: 200 }, () => ({ bytes: INITRD })) })],
    ['command-line-too-long', () => plan(PVH_ELF, { commandLine: 'x'.repeat(2048) })],
    ['command-line-too-long', () => plan(buildBzImage({ commandLineMax: 100 }), { protocol: 'linux64', commandLine: 'x'.repeat(101) })],
    ['command-line-invalid', () => plan(PVH_ELF, { commandLine: 'a\0b' })],
  ])('%s', (code, action) => {
    expect(codeOf(action)).toBe(code);
  });

  it('takes a command line of just the limit', () => {
    expect(plan(PVH_ELF, { commandLine: 'x'.repeat(2047) }).protocol).toBe('pvh');
  });

  it('says how much memory is enough', () => {
    expect(() => plan(tooBig)).toThrow(/at least 80 MiB/);
    expect(plan(tooBig, { memoryBytes: 80 * MIB }).protocol).toBe('linux64');
  });

  it('are BootErrors for every truncation of every kind of image', () => {
    for (const image of [buildBzImage(), PVH_ELF, PLAIN_ELF, MULTIBOOT_ELF, flatMultiboot()]) {
      for (let length = 0; length < image.length; length++) codeOf(() => plan(image.subarray(0, length)));
    }
  });

  it('are BootErrors for any overwritten bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(buildBzImage(), PVH_ELF, PLAIN_ELF, MULTIBOOT_ELF, flatMultiboot()),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.constantFrom('auto', 'pvh', 'linux64', 'multiboot'),
        (image, changes, protocol) => {
          const damaged = image.slice();
          for (const [at, value] of changes) damaged[at % damaged.length] = value;
          codeOf(() => plan(damaged, { protocol }, { initrd: INITRD }));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** 16 bytes of something, then the header, then HLT. */
function flatMultiboot(): Uint8Array {
  const header = multibootHeader(0x10003, [0x100000, 0x100000, 0, 0x102000, 0x100020]);
  const file = new Uint8Array(16 + header.length + 1);
  file.set(header, 16);
  file[16 + header.length] = 0xf4;
  return file;
}
