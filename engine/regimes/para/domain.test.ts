import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { BootError } from '../../machine/boot/errors.ts';
import * as A from './abi.ts';
import { type DomainOptions, buildDomain } from './domain.ts';

const image = (name: string): Uint8Array => new Uint8Array(readFileSync(fileURLToPath(new URL(`../../guests/images/${name}.elf`, import.meta.url))));
const OPTIONS: DomainOptions = { memoryBytes: 8 << 20, commandLine: 'run="ps"', diskBytes: 1000, kernelName: 'lab-pv' };
const codeOf = (build: () => unknown): string | undefined => {
  try {
    build();
  } catch (error) {
    if (error instanceof BootError) return error.code;
    throw error;
  }
  return undefined;
};

describe('the domain builder', () => {
  it('tells the guest what there is, and maps all of it', () => {
    const domain = buildDomain(image('lab-pv'), OPTIONS);
    const at = (paddr: number): DataView => {
      const load = domain.plan.loads.find(({ paddr: start, bytes }) => paddr >= start && paddr < start + bytes.length)!;
      return new DataView(load.bytes.buffer, load.bytes.byteOffset + paddr - load.paddr);
    };
    const info = at(2047 * 4096);
    const field = (offset: number): number => Number(info.getBigUint64(offset, true));
    expect(info.getBigUint64(0, true)).toBe(A.START_MAGIC);
    expect([A.START_PAGES, A.START_SHARED_INFO, A.START_CONSOLE, A.START_BLOCK, A.START_SECTORS, A.START_BASEPTR, A.START_TSC_HZ].map(field)).toEqual([2048, domain.sharedInfo, domain.console, domain.block, 2, domain.root, 1e9]);
    expect(field(A.START_FREE_END)).toBe(domain.root * 4096);
    expect(new TextDecoder().decode(new Uint8Array(info.buffer, info.byteOffset + A.START_COMMAND_LINE, 8))).toBe('run="ps"');
    const entry = (frame: number, index: number): bigint => at(frame * 4096 + index * 8).getBigUint64(0, true);
    const below = (value: bigint): number => Number((value >> 12n) & 0xff_ffff_ffffn);
    const level2 = below(entry(below(entry(domain.root, 511)), 510));
    for (let frame = 0; frame < 2048; frame++) {
      const value = entry(below(entry(level2, Math.floor(frame / 512))), frame % 512);
      expect(below(value)).toBe(frame);
      const isTable = frame >= domain.root && frame < domain.block!;
      expect((value & 2n) === 0n, `frame ${frame}`).toBe(isTable);
    }
    expect(domain.plan.cpu.registers.rsi).toBe(0xffff_ffff_8000_0000n + 2047n * 4096n);
  });

  it('refuses what it cannot run, and says why', () => {
    expect(codeOf(() => buildDomain(image('lab-kernel'), OPTIONS))).toBe('kernel-not-paravirtual');
    expect(codeOf(() => buildDomain(Uint8Array.of(1, 2, 3), OPTIONS))).toBe('image-truncated');
    expect(codeOf(() => buildDomain(image('lab-pv'), { ...OPTIONS, commandLine: 'x'.repeat(A.START_COMMAND_LINE_BYTES) }))).toBe('command-line-too-long');
    // Without room for the kernel at 1 MiB.
    expect(codeOf(() => buildDomain(image('lab-pv'), { ...OPTIONS, memoryBytes: 1 << 20 }))).toBe('memory-size');
  });

  it('gives no more than a GiB, and no disk if there is none', () => {
    const domain = buildDomain(image('lab-pv'), { ...OPTIONS, memoryBytes: 2 ** 31, diskBytes: undefined });
    expect(domain.block).toBeUndefined();
    expect(domain.sharedInfo).toBeLessThan(2 ** 18);
  });
});
