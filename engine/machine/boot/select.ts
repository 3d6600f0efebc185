/**
 * Picks the boot protocol.
 *
 *     bzImage ── payload unpacks ── ELF with PVH note ──► pvh
 *        │             └── no note, or an unknown compression ──► linux64 (bzImage)
 *     ELF ── PVH note ──► pvh
 *        ├── Multiboot header ──► multiboot1
 *        └── 64-bit x86-64 ──► linux64 (startup_64)
 *     other ── Multiboot header ──► multiboot1
 */
import { type BzImage, extractKernel, hasBootFlag, isBzImage, parseBzImage } from './bzimage.ts';
import { type Elf, isElf, parseElf } from './elf.ts';
import { BootError } from './errors.ts';
import { planBzImage, planVmlinux } from './linux64.ts';
import { findMultibootHeader, planMultiboot1 } from './multiboot1.ts';
import type { BootImages, BootOptions, BootPlan } from './plan.ts';
import { planPvh, pvhEntry } from './pvh.ts';

/** The plan for booting `images`. A pure function; throws BootError and nothing else for bad images or options. */
export function planBoot(images: BootImages, options: BootOptions): BootPlan {
  const { kernel } = images;
  const name = options.kernelName ?? 'the kernel';
  const choice = options.protocol ?? 'auto';
  if (kernel.length === 0) throw new BootError('image-empty', { image: name });
  if (choice === 'multiboot' || choice === 'multiboot1') return planMultiboot1(kernel, images, options, name);
  if (isBzImage(kernel)) return planFromBzImage(parseBzImage(kernel, name), images, options);
  if (isElf(kernel)) return planFromElf(parseElf(kernel, name), images, options);
  if (choice === 'auto' && findMultibootHeader(kernel) !== undefined) {
    return planMultiboot1(kernel, images, options, name);
  }
  if (hasBootFlag(kernel)) {
    throw new BootError('kernel-16-bit', { image: name, why: 'a boot sector without a Linux setup header' });
  }
  const magic = Array.from(kernel.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new BootError('image-unknown', { image: name, magic });
}

function planFromBzImage(bzImage: BzImage, images: BootImages, options: BootOptions): BootPlan {
  if (options.protocol === 'linux64') return planBzImage(bzImage, images, options);
  const forced = options.protocol === 'pvh';
  const name = bzImage.image.name;
  const extraction = extractKernel(bzImage, options.decompress);
  if (extraction.kind === 'unsupported') {
    const reason = `unsupported payload compression (${extraction.compression})`;
    if (forced) throw new BootError('protocol-unavailable', { image: name, protocol: 'PVH', why: reason });
    return planBzImage(bzImage, images, options, [`${reason}, falling back to the 64-bit boot protocol`]);
  }
  const elf = parseElf(extraction.bytes, `the ELF file inside ${name}`);
  if (!forced && pvhEntry(elf) === undefined) {
    return planBzImage(bzImage, images, options, ['no PVH note, falling back to the 64-bit boot protocol']);
  }
  return planPvh(elf, images, options, [
    `took the ELF file out of the bzImage (${extraction.compression}, ${extraction.bytes.length} bytes)`,
  ]);
}

function planFromElf(elf: Elf, images: BootImages, options: BootOptions): BootPlan {
  switch (options.protocol) {
    case 'pvh':
      return planPvh(elf, images, options);
    case 'linux64':
      return planVmlinux(elf, images, options);
    default:
      if (pvhEntry(elf) !== undefined) return planPvh(elf, images, options);
      if (findMultibootHeader(elf.image.bytes) !== undefined) {
        return planMultiboot1(elf.image.bytes, images, options, elf.image.name);
      }
      return planVmlinux(elf, images, options);
  }
}
