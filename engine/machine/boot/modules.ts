/** The initrd and further modules, for the protocols that take a list (PVH and Multiboot). */
import { BootError } from './errors.ts';
import { cString, type MemoryPlan, MODULE_STRINGS_ADDRESS, MODULE_STRINGS_END } from './memory.ts';
import type { BootImages, BootModule } from './plan.ts';

export interface PlacedModule {
  readonly address: number;
  /** Bytes. */
  readonly size: number;
  /** Address of its command line; 0 if it has none. */
  readonly commandLineAddress: number;
}

/** The initrd and the modules as one list, none of them empty. */
export function allModules(images: BootImages): readonly BootModule[] {
  const modules = [...(images.initrd === undefined ? [] : [{ bytes: images.initrd }]), ...(images.modules ?? [])];
  modules.forEach((module, index) => {
    if (module.bytes.length === 0) throw new BootError('module-empty', { what: moduleName(images, index) });
  });
  return modules;
}

/** The only module of a Linux protocol. */
export function onlyInitrd(images: BootImages, image: string): Uint8Array | undefined {
  const modules = allModules(images);
  if (modules.length > 1) throw new BootError('modules-unsupported', { image, count: modules.length });
  return modules[0]?.bytes;
}

/** Places all modules above the kernel, which must have been placed, and their command lines in low memory. */
export function placeModules(memory: MemoryPlan, images: BootImages, limit: number): readonly PlacedModule[] {
  const modules = allModules(images);
  if (modules.length > limit) throw new BootError('modules-too-many', { count: modules.length, limit });
  let stringAt = MODULE_STRINGS_ADDRESS;
  return modules.map((module, index) => {
    const what = moduleName(images, index);
    const address = memory.placeModule(what, module.bytes, memory.memoryBytes - 1);
    if (module.commandLine === undefined) return { address, size: module.bytes.length, commandLineAddress: 0 };
    const text = cString(module.commandLine);
    const commandLineAddress = stringAt;
    if (stringAt + text.length > MODULE_STRINGS_END) {
      throw new BootError('command-line-too-long', {
        length: text.length - 1,
        image: what,
        limit: MODULE_STRINGS_END - stringAt - 1,
      });
    }
    memory.place(`the command line of ${what}`, stringAt, text);
    stringAt += text.length;
    return { address, size: module.bytes.length, commandLineAddress };
  });
}

function moduleName(images: BootImages, index: number): string {
  if (images.initrd === undefined) return `module ${index}`;
  return index === 0 ? 'the initrd' : `module ${index - 1}`;
}
