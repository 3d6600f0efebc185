/** A domain in a machine of its own, and hypercalls as its kernel would make them. For tests only. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RAM } from '../../cpu/layout.ts';
import type { BlockBacking } from '../../devices/virtio-block/virtio-block.ts';
import { Machine } from '../../machine/machine.ts';
import { type Domain, buildDomain } from './domain.ts';
import { PAGE_BYTES } from './page-types.ts';
import { Vmm } from './vmm.ts';

const KERNEL = new Uint8Array(readFileSync(fileURLToPath(new URL('../../guests/images/lab-pv.elf', import.meta.url))));
export const VIRT_BASE = 0xffff_ffff_8000_0000n;
/** Frames that the lab kernel has no use for: below 1 MiB. The first is for arguments. */
export const SCRATCH = 0x10;
const MEMORY_BYTES = 16 << 20;
const CORE = fileURLToPath(new URL('../../../dist/engine/cpu/core.wasm', import.meta.url));
let module: WebAssembly.Module | undefined;

export interface TestDomain {
  readonly machine: Machine;
  readonly vmm: Vmm;
  readonly domain: Domain;
  readonly output: () => string;
  /** Virtual address of a frame in the map of all RAM. */
  va(frame: number, offset?: number): bigint;
  /** Places the 64-bit words at the start of the scratch frame; its address. */
  place(...words: readonly bigint[]): bigint;
  call(number: number, ...args: readonly (bigint | number)[]): number;
  /** The 64-bit word at a physical address, a multiple of 8. */
  word(paddr: number): bigint;
  /** Physical address of the level-1 entry that maps a frame in the map of all RAM. */
  entryOf(frame: number): number;
}

/** `runTo`: the position up to which the guest runs first. */
export function newDomain(options: { readonly commandLine?: string; readonly disk?: BlockBacking; readonly runTo?: number; readonly kernel?: Uint8Array; readonly revision?: number } = {}): TestDomain {
  module ??= new WebAssembly.Module(readFileSync(process.env['CHRONOVISOR_CORE'] ?? CORE));
  const { disk } = options;
  const domain = buildDomain(options.kernel ?? KERNEL, { memoryBytes: MEMORY_BYTES, commandLine: options.commandLine ?? 'run="poweroff"', diskBytes: disk?.byteLength, kernelName: 'lab-pv' });
  let vmm: Vmm | undefined;
  const bytes: number[] = [];
  const machine = new Machine({
    config: { memoryBytes: MEMORY_BYTES, seed: '0000000000000001', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 1000, ...(options.revision !== undefined && { revision: options.revision }) },
    module,
    console: (byte) => bytes.push(byte),
    hypervisor: (host) => (vmm = new Vmm(host, domain)),
    ...(disk === undefined ? {} : { disk }),
  });
  machine.load(domain.plan);
  if (options.runTo !== undefined) machine.run(options.runTo);
  const made = vmm!;
  const { core } = machine;
  const word = (paddr: number): bigint => core.big(RAM + paddr);
  return {
    machine, vmm: made, domain, word,
    output: () => String.fromCharCode(...bytes),
    va: (frame, offset = 0) => VIRT_BASE + BigInt(frame * PAGE_BYTES + offset),
    place: (...words) => {
      const data = new Uint8Array(words.length * 8);
      const view = new DataView(data.buffer);
      words.forEach((each, i) => view.setBigUint64(8 * i, BigInt.asUintN(64, each), true));
      core.writePhysical(SCRATCH * PAGE_BYTES, data);
      return VIRT_BASE + BigInt(SCRATCH * PAGE_BYTES);
    },
    call: (number, ...args) => {
      made.types.renewChecks();
      return made.call(BigInt(number), args.map(BigInt), false);
    },
    entryOf: (frame) => {
      const next = (table: number, index: number): number => Number(word(table + index * 8) & 0xff_ffff_f000n);
      const level2 = next(next(domain.root * PAGE_BYTES, 511), 510);
      return next(level2, Math.floor(frame / 512)) + (frame % 512) * 8;
    },
  };
}

/** Type and count of each frame that has any, as text. */
export function typesOf({ vmm }: Pick<TestDomain, 'vmm'>): string {
  const found: string[] = [];
  for (let frame = 0; frame < vmm.types.frames; frame++) if (vmm.types.countOf(frame) > 0) found.push(`${frame}:${vmm.types.typeOf(frame)}x${vmm.types.countOf(frame)}`);
  return found.join(' ');
}
