/* Loading an ELF64 executable (System V gABI, chapters 4 and 5) that the kernel carries. */
#include "elf.h"

struct elf_header {
  u8 identity[16];
  u16 type, machine;
  u32 version;
  u64 entry, program_headers, section_headers;
  u32 flags;
  u16 header_size, program_header_size, program_header_count;
};

struct elf_segment {
  u32 type, flags;
  u64 offset, vaddr, paddr, file_size, memory_size, align;
};

#define SEGMENT_LOAD 1
#define SEGMENT_EXECUTE 1
#define SEGMENT_WRITE 2

extern const struct program programs[];
extern const struct program programs_end[];

const struct program *program_find(const char *name) {
  for (const struct program *program = programs; program < programs_end; program++)
    if (strcmp(program->name, name) == 0) return program;
  return NULL;
}

static void load_segment(struct space *space, const u8 *file, const struct elf_segment *segment) {
  u64 flags = (segment->flags & SEGMENT_WRITE ? REGION_WRITE : 0) | (segment->flags & SEGMENT_EXECUTE ? REGION_EXECUTE : 0);
  u64 end = segment->vaddr + segment->memory_size;
  space_add(space, page_down(segment->vaddr), page_up(end), flags);
  const u8 *from = file + segment->offset;
  u64 left = segment->file_size;
  for (u64 vaddr = segment->vaddr; left;) {
    u64 offset = vaddr & (PAGE_BYTES - 1);
    u64 length = PAGE_BYTES - offset < left ? PAGE_BYTES - offset : left;
    memcpy((u8 *)space_page(space, page_down(vaddr)) + offset, from, length);
    from += length;
    vaddr += length;
    left -= length;
  }
}

u64 elf_load(struct space *space, const struct program *program) {
  const struct elf_header *header = (const struct elf_header *)program->start;
  if (memcmp(header->identity, "\177ELF\2\1", 6) != 0) panic("program %s is no ELF64", program->name);
  const struct elf_segment *segments = (const struct elf_segment *)(program->start + header->program_headers);
  u64 top = 0;
  for (u16 i = 0; i < header->program_header_count; i++) {
    if (segments[i].type != SEGMENT_LOAD) continue;
    load_segment(space, program->start, &segments[i]);
    u64 end = page_up(segments[i].vaddr + segments[i].memory_size);
    if (end > top) top = end;
  }
  space->heap = space_add(space, top, top, REGION_WRITE);
  return header->entry;
}
