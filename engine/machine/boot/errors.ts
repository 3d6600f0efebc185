/**
 * All errors of the boot protocols. A message says what is wrong, where, and what to do about it; `{name}` is replaced from
 * the error's details. An expected failure (a bad image, too little memory) is a BootError and nothing else.
 */

export const BOOT_ERRORS = {
  'image-empty': '{image} is empty: give a bzImage, an ELF kernel or a Multiboot kernel',
  'image-truncated':
    '{image} is truncated: {what} needs bytes {from} to {to}, the image has {size} bytes. Fetch or copy it again',
  'image-unknown':
    '{image} is neither a bzImage nor an ELF file nor a Multiboot kernel (it begins with {magic}): give a kernel image',
  'kernel-16-bit':
    '{image} is a 16-bit kernel ({why}): the machine starts in 32- or 64-bit mode. Use a 64-bit bzImage (make bzImage) or an ELF',
  'kernel-32-bit':
    '{image} has no 64-bit entry point ({why}): use a kernel for x86-64, of boot protocol 2.12 or newer',
  'machine-unsupported': '{image} is an ELF file for {machine}: use a kernel for x86-64 or i386',
  'elf-malformed': '{image} is a damaged ELF file: {what}. Fetch or build it again',
  'elf-not-executable': '{image} is an ELF {type}, not an executable: link it, or give the kernel rather than a module',
  'payload-corrupt': 'the compressed kernel inside {image} is damaged: {what}. Fetch it again',
  'payload-too-large':
    'the compressed kernel inside {image} says that it unpacks to {size} bytes, more than the limit of {limit}: the image is damaged',
  'protocol-unavailable': '{image} cannot be booted by {protocol}: {why}. Use --boot auto',
  'kernel-not-paravirtual':
    '{image} was not built for the regime para: {why}. Record it under another regime, or give a kernel with the ELF notes of engine/guests/pv-abi.h',
  'multiboot-unsupported': '{image} asks the Multiboot loader for {what}, which is not supported: change the kernel\'s header',
  'memory-size': 'the memory size {size} is not a multiple of 4096 bytes between 2 MiB and 2 GiB: change --memory',
  'memory-too-small':
    '{what} needs physical memory up to {to}, the machine has {memory}: give the machine at least {least} with --memory',
  'load-overlap':
    '{what} ({range}) overlaps {other} ({otherRange}): link the kernel at another address, 1 MiB and above is free',
  'module-does-not-fit':
    '{what} of {size} bytes does not fit between the end of the kernel at {kernelEnd} and {top}: use a smaller one, or at least {least} with --memory',
  'command-line-too-long':
    'the kernel command line is {length} bytes long, {image} takes at most {limit}: shorten --append',
  'command-line-invalid': 'the kernel command line has a NUL character at index {index}: remove it from --append',
  'module-empty': '{what} is empty: give another file, or none',
  'modules-unsupported':
    '{image} takes one initrd and no further modules, {count} were given: join them into one initrd (cpio archives may be concatenated)',
  'modules-too-many': '{count} modules were given, the limit is {limit}: give fewer',
} as const;

export type BootErrorCode = keyof typeof BOOT_ERRORS;
export type BootErrorDetails = Readonly<Record<string, string | number>>;

export class BootError extends Error {
  readonly code: BootErrorCode;
  readonly details: BootErrorDetails;

  constructor(code: BootErrorCode, details: BootErrorDetails) {
    super(
      BOOT_ERRORS[code].replace(/\{(\w+)\}/g, (_placeholder, name: string) => {
        const value = details[name];
        if (value === undefined) throw new Error(`boot error ${code}: no value for {${name}}`);
        return String(value);
      }),
    );
    this.name = 'BootError';
    this.code = code;
    this.details = details;
  }
}

/** An address as people read it. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** A size rounded up to whole MiB, as `--memory` takes it. */
export function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 0x100000)} MiB`;
}
