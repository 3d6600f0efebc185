/* What the loader tells: memory and command line, from a PVH start_info or a Multiboot information block. */
#include "bootinfo.h"
#include "kernel.h"
#include "memory.h"

#define PVH_MAGIC 0x336ec578
#define PVH_MEMORY_RAM 1

struct pvh_start_info {
  u32 magic, version, flags, module_count;
  u64 modules, command_line, rsdp, memory_map;
  u32 memory_map_entries, reserved;
};

struct pvh_memory {
  u64 start, size;
  u32 type, reserved;
};

/* Multiboot specification 0.6.96, section 3.3 */
#define MULTIBOOT_HAS_MEMORY (1 << 0)
#define MULTIBOOT_HAS_COMMAND_LINE (1 << 2)
struct multiboot_info {
  u32 flags, memory_lower_kib, memory_upper_kib, boot_device, command_line;
};

struct boot_info boot_info;

#ifndef PV /* else pv/start.c */
static void read_pvh(const struct pvh_start_info *info) {
  if (info->magic != PVH_MAGIC) panic("no PVH start_info (magic %x)", info->magic);
  if (info->command_line) copy_text(boot_info.command_line, physical(info->command_line), COMMAND_LINE_MAX);
  const struct pvh_memory *map = physical(info->memory_map);
  for (u32 i = 0; i < info->memory_map_entries; i++) {
    u64 end = map[i].start + map[i].size;
    if (map[i].type == PVH_MEMORY_RAM && map[i].start <= KERNEL_LOAD && end > KERNEL_LOAD) boot_info.memory_end = end;
  }
}

static void read_multiboot(const struct multiboot_info *info) {
  if (info->flags & MULTIBOOT_HAS_COMMAND_LINE)
    copy_text(boot_info.command_line, physical(info->command_line), COMMAND_LINE_MAX);
  if (info->flags & MULTIBOOT_HAS_MEMORY) boot_info.memory_end = KERNEL_LOAD + (u64)info->memory_upper_kib * 1024;
}

void boot_info_read(u32 protocol, u64 info_paddr) {
  boot_info.protocol = protocol;
  if (info_paddr >= DIRECT_MAP_BYTES) panic("boot information at %lx is out of reach", info_paddr);
  if (protocol == BOOT_PVH) read_pvh(physical(info_paddr));
  else read_multiboot(physical(info_paddr));
  if (boot_info.memory_end > DIRECT_MAP_BYTES) boot_info.memory_end = DIRECT_MAP_BYTES;
  boot_info.memory_end &= ~(PAGE_BYTES - 1);
}
#endif

bool boot_option(const char *key, u64 nth, char *value, u64 size) {
  u64 key_length = strlen(key);
  bool quoted = false;
  bool at_word = true;
  for (const char *c = boot_info.command_line; *c; c++) {
    if (at_word && !quoted && strncmp(c, key, key_length) == 0 && c[key_length] == '=' && nth-- == 0) {
      c += key_length + 1;
      char end = ' ';
      if (*c == '"') end = *c++;
      u64 length = 0;
      for (; *c && *c != end && length + 1 < size; c++) value[length++] = *c;
      value[length] = 0;
      return true;
    }
    if (*c == '"') quoted = !quoted;
    at_word = *c == ' ';
  }
  return false;
}
