/** Guests for migrations that really happen: a writer of pages in machine code, and the lab's kernel. */
import { virtioArgument } from '../../engine/devices/virtio/mmio.ts';
import { buildElf } from '../../engine/machine/boot/testing.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import type { MachineConfig } from '../../engine/machine/machine.ts';
import type { Recipe, RunImages } from '../../engine/recording/recipe.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { LAB_GUEST, labImages, readLabImage } from '../../server/store/lab-guests.ts';

export interface Writer {
  readonly memoryMib: number;
  /** Pages written over and over; a power of two. They begin at 2 MiB. */
  readonly setPages: number;
  readonly pagesPerTick: number;
  /** Instructions between two bursts, about. */
  readonly tickInstructions: number;
  readonly order: 'sequential' | 'scattered';
  /** In every second stretch of 2^shift ticks so many pages a tick instead. */
  readonly phase?: { readonly shift: number; readonly pagesPerTick: number };
}

const SET_AT = 2 << 20;

/** Multiboot 1, 32-bit, no paging, interrupts off: fills its memory with what is not zero, then writes for ever. */
export function writerKernel(load: Writer): Uint8Array {
  const word = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
  const code = Uint8Array.from([
    0xbf, ...word(SET_AT), //                                     mov edi, SET_AT
    0x89, 0x3f, //                                          fill: mov [edi], edi
    0x81, 0xc7, ...word(4096), //                                 add edi, 4096
    0x81, 0xff, ...word(load.memoryMib << 20), //                 cmp edi, end of memory
    0x72, 0xf0, //                                                jb fill
    0x31, 0xdb, 0x31, 0xed, //                                    xor ebx, ebx; xor ebp, ebp
    0xb9, ...word(load.pagesPerTick), //                    tick: mov ecx, pages
    0x89, 0xe8, 0xc1, 0xe8, load.phase?.shift ?? 31, //           mov eax, ebp; shr eax, shift
    0xa8, 0x01, 0x74, 0x05, //                                    test al, 1; jz +5
    0xb9, ...word(load.phase?.pagesPerTick ?? load.pagesPerTick), // mov ecx, pages of the second phase
    0x85, 0xc9, 0x74, 0x19, //                                    test ecx, ecx; jz spin
    0x89, 0xd8, 0xc1, 0xe0, 0x0c, //                       write: mov eax, ebx; shl eax, 12
    0x05, ...word(SET_AT), 0xff, 0x00, //                         add eax, SET_AT; inc dword [eax]
    ...(load.order === 'scattered' ? [0x8d, 0x5c, 0x9b, 0x01] : [0x8d, 0x5b, 0x01, 0x90]), // lea ebx, [ebx*5+1] or [ebx+1]
    0x81, 0xe3, ...word(load.setPages - 1), //                    and ebx, set - 1
    0x49, 0x75, 0xe7, //                                          dec ecx; jnz write
    0xb9, ...word(Math.max(1, Math.round(load.tickInstructions / 2))), 0x49, 0x75, 0xfd, // spin: mov ecx, n; dec ecx; jnz -3
    0x45, 0xe9, ...word(-62), //                                  inc ebp; jmp tick
  ]); // prettier-ignore
  const header = Uint8Array.from([...word(0x1badb002), ...word(0), ...word(-0x1badb002)]);
  return buildElf({ class: 32, prefix: header, loads: [{ paddr: 0x100000n, bytes: code }] });
}

export interface LiveGuest {
  readonly recipe: Recipe;
  readonly images: RunImages;
}

const MACHINE = { seed: '00000000c0ffee00', wallClockNs: '1767225600000000000', acpi: false, virtio: [], accessCostNs: 1000 } as const;

export function writerGuest(load: Writer): LiveGuest {
  return {
    recipe: { guest: 'writer', commandLine: '', protocol: 'multiboot', machine: { ...MACHINE, memoryBytes: load.memoryMib << 20 }, epochInstructions: 1_000_000, digestInstructions: 5_000_000 },
    images: { kernel: writerKernel(load) },
  };
}

/** The lab's kernel with a command to run. */
export function labGuest(run: string): LiveGuest {
  const kernel = readLabImage(labImages().find(({ name }) => name === LAB_GUEST)!);
  return {
    recipe: { guest: 'lab-kernel', commandLine: `run="${run}"`, protocol: 'auto', machine: { ...MACHINE, memoryBytes: 64 << 20 }, epochInstructions: 1_000_000, digestInstructions: 5_000_000 },
    images: { kernel },
  };
}

/** The same with every virtio device, the console among its outputs, and a disk of 64 KiB. */
export function deviceGuest(run: string, machine: Partial<MachineConfig> = {}): LiveGuest {
  const { recipe, images } = labGuest(run);
  const bytes = Uint8Array.from({ length: 128 * 512 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
  const virtio = ['console', 'block', 'rng', 'net'] as const;
  return {
    recipe: { ...recipe, commandLine: [`console=hvc0 ${recipe.commandLine}`, ...virtio.map((_, slot) => virtioArgument(slot))].join(' '), machine: { ...recipe.machine, virtio, ...machine } },
    images: { ...images, disk: { byteLength: bytes.length, read: (offset, length) => bytes.slice(offset, offset + length) } },
  };
}

/** A log on a disk that keeps after a crash what was synced. */
export class CrashSink extends MemorySink {
  survivors(): Uint8Array {
    return this.toBytes().slice(0, this.syncedBytes);
  }
}

export function startGuest({ recipe, images }: LiveGuest, id: string): { readonly recorder: Recorder; readonly sink: CrashSink } {
  const sink = new CrashSink();
  return { recorder: new Recorder({ recipe, images, module: loadCore(), log: { sink, id, product: 'test' } }), sink };
}

export function openBytes(bytes: Uint8Array): LogReader {
  return LogReader.open(new MemorySource(bytes));
}

/** The state of a guest that was never migrated, at a position; Infinity: at its end. */
export function digestAt({ recipe, images }: LiveGuest, position: number): string {
  const recorder = new Recorder({ recipe, images, module: loadCore() });
  while (recorder.position < position) {
    const status = recorder.step(position - recorder.position, true);
    if (status.kind === 'ended' && position === Infinity) return status.digest;
    if (status.kind !== 'running') throw new Error(`the guest is ${status.kind} at @${recorder.position}`);
  }
  return recorder.machine.digest().digest;
}
