#ifndef ELF_H
#define ELF_H
#include "memory.h"

/* A program in the image (programs.S). */
struct program {
  const char *name;
  const u8 *start;
  const u8 *end;
};
const struct program *program_find(const char *name);
/* Loads it into an empty space, with a heap behind it; returns the entry point. */
u64 elf_load(struct space *space, const struct program *program);
#endif
