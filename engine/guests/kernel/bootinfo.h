#ifndef BOOTINFO_H
#define BOOTINFO_H
#define BOOT_PVH 1
#define BOOT_MULTIBOOT 2
#define BOOT_PV 3
#ifndef __ASSEMBLER__
#include "../lib/types.h"

#define COMMAND_LINE_MAX 1024

struct boot_info {
  u32 protocol;
  u64 memory_end; /* RAM from 1 MiB to here */
  char command_line[COMMAND_LINE_MAX];
};
extern struct boot_info boot_info;

#ifdef PV
#define BOOT_NAME(protocol) "paravirtual"
#else
#define BOOT_NAME(protocol) ((protocol) == BOOT_PVH ? "PVH" : "Multiboot")
#endif

/* Copies what the loader tells, before its memory is used for something else. */
void boot_info_read(u32 protocol, u64 info_paddr);
/* The value of `key=value` or `key="value with blanks"`; `nth` counts from 0. False when there is no such option. */
bool boot_option(const char *key, u64 nth, char *value, u64 size);
#endif
#endif
