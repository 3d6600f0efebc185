/** Places the segments of an ELF kernel at their physical addresses. */
import type { Elf } from './elf.ts';
import type { MemoryPlan } from './memory.ts';

export function placeSegments(memory: MemoryPlan, elf: Elf): void {
  elf.loads.forEach((segment, index) => {
    const bytes = elf.image.slice(segment.offset, segment.fileSize, `segment ${index}`);
    memory.place(`segment ${index} of ${elf.image.name}`, Number(segment.paddr), bytes, segment.memorySize);
  });
}
