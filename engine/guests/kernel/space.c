/* Address spaces of processes: a list of regions says what may be accessed; pages come when they are touched.
 *
 * fork shares every page and takes the right to write away on both sides; the first write makes the copy. */
#include "cpu.h"
#include "memory.h"

#define SPACE_MAGIC 0x6563617073ul   /* "space" */
#define REGION_MAGIC 0x6e6f69676572ul /* "region" */

_Static_assert(sizeof(struct space) <= OBJECT_BYTES && sizeof(struct region) <= OBJECT_BYTES, "objects are 64 bytes");

static void check_region(const struct region *region) {
  if (region->magic != REGION_MAGIC)
    panic("region %lx is no region: magic %lx, expected %lx", (u64)region, region->magic, REGION_MAGIC);
}

static void check_space(const struct space *space) {
  if (space->magic != SPACE_MAGIC)
    panic("space %lx is no space: magic %lx, expected %lx", (u64)space, space->magic, SPACE_MAGIC);
}

struct space *space_new(void) {
  struct space *space = object_take();
  space->magic = SPACE_MAGIC;
  space->mapping_next = USER_MAPPINGS;
  space->pml4 = frame_take();
  if (!space->pml4) panic("out of memory for an address space");
  u64 *own = physical(space->pml4);
  const u64 *kernel = physical(kernel_pml4);
  for (int i = 256; i < 512; i++) own[i] = kernel[i];
  root_begin(space->pml4);
  return space;
}

struct region *space_add(struct space *space, u64 start, u64 end, u64 flags) {
  struct region *region = object_take();
  region->start = start;
  region->end = end;
  region->flags = flags;
  region->magic = REGION_MAGIC;
  region->next = space->regions;
  space->regions = region;
  return region;
}

static struct region *find(struct space *space, u64 vaddr) {
  for (struct region *region = space->regions; region; region = region->next)
    if (vaddr >= region->start && vaddr < region->end) return region;
  return NULL;
}

static void unmap(struct space *space, u64 start, u64 end) {
  pte_batch_begin();
  for (u64 vaddr = page_down(start); vaddr < end; vaddr += PAGE_BYTES) {
    u64 *entry = mmu_entry(space->pml4, vaddr, false);
    if (!entry) {
      vaddr |= 0x1ff000; /* no table: on to the next 2 MiB */
      continue;
    }
    if (!(*entry & PTE_PRESENT)) continue;
    frame_drop(*entry & PTE_FRAME);
    pte_set(entry, 0, 1);
    space->resident--;
    invalidate_page(vaddr);
  }
  pte_batch_end();
}

bool space_remove(struct space *space, u64 start) {
  for (struct region **link = &space->regions; *link; link = &(*link)->next) {
    struct region *region = *link;
    if (region->start != start || !(region->flags & REGION_MAPPING)) continue;
    check_region(region);
    unmap(space, region->start, region->end);
    *link = region->next;
    object_give(region);
    return true;
  }
  return false;
}

/* Gives back a table and what is below it; leaves are counted. */
static u64 drop_tables(u64 table_frame, int level) {
  u64 *table = physical(table_frame);
  u64 leaves = 0;
  u64 count = level == 4 ? 256 : 512; /* the upper half is the kernel's */
  for (u64 i = 0; i < count; i++) {
    if (!(table[i] & PTE_PRESENT)) continue;
    if (level == 1) {
      frame_drop(table[i] & PTE_FRAME);
      leaves++;
    } else {
      leaves += drop_tables(table[i] & PTE_FRAME, level - 1);
      frame_drop(table_end(&table[i], level));
    }
    pte_forget(&table[i]);
  }
  return leaves;
}

void space_clear(struct space *space) {
  check_space(space);
  while (space->regions) {
    struct region *region = space->regions;
    check_region(region);
    space->regions = region->next;
    object_give(region);
  }
  space->resident -= drop_tables(space->pml4, 4);
  space->heap = NULL;
  space->mapping_next = USER_MAPPINGS;
  if (read_cr3() == space->pml4) write_cr3(space->pml4);
}

void space_delete(struct space *space, u32 pid) {
  u64 counted = space->resident;
  space_clear(space);
  if (space->resident)
    panic("pages of process %u: %lu were counted, %lu were found", pid, counted, counted - space->resident);
  root_end(space->pml4);
  frame_drop(space->pml4);
  space->magic = 0;
  object_give(space);
}

/* Copies the tables below `from` (level 4: the user half) and shares the leaves. */
static u64 clone_tables(u64 from_frame, u64 to_frame, int level) {
  u64 *from = physical(from_frame);
  u64 *to = physical(to_frame);
  u64 leaves = 0;
  u64 count = level == 4 ? 256 : 512;
  for (u64 i = 0; i < count; i++) {
    if (!(from[i] & PTE_PRESENT)) continue;
    if (level == 1) {
      u64 entry = from[i];
      if (entry & PTE_WRITE) {
        entry = (entry & ~PTE_WRITE) | PTE_COPY;
        pte_set(&from[i], entry, 1);
      }
      pte_set(&to[i], entry, 1);
      frame_share(entry & PTE_FRAME);
      leaves++;
    } else {
      u64 table = frame_take();
      if (!table) panic("out of memory in fork");
      table_begin(table);
      pte_set(&to[i], table | (from[i] & ~PTE_FRAME), level);
      leaves += clone_tables(from[i] & PTE_FRAME, table, level - 1);
    }
  }
  return leaves;
}

struct space *space_clone(struct space *from) {
  check_space(from);
  struct space *space = space_new();
  space->mapping_next = from->mapping_next;
  for (struct region *region = from->regions; region; region = region->next) {
    check_region(region);
    struct region *copy = space_add(space, region->start, region->end, region->flags);
    if (region == from->heap) space->heap = copy;
  }
  pte_batch_begin();
  space->resident = clone_tables(from->pml4, space->pml4, 4);
  pte_batch_end();
  write_cr3(read_cr3()); /* the parent lost its rights to write */
  return space;
}

static u64 page_rights(const struct region *region) {
  u64 rights = PTE_PRESENT | PTE_USER;
  if (region->flags & REGION_WRITE) rights |= PTE_WRITE;
  if (!(region->flags & REGION_EXECUTE)) rights |= nx_bit;
  return rights;
}

static void copy_page(u64 *entry) {
  u64 old = *entry & PTE_FRAME;
  u64 rights = (*entry & ~PTE_FRAME & ~PTE_COPY) | PTE_WRITE;
  if (frame_users(old) == 1) { /* the others are gone */
    pte_set(entry, old | rights, 1);
    return;
  }
  u64 frame = frame_take();
  if (!frame) panic("out of memory for a copied page");
  memcpy(physical(frame), physical(old), PAGE_BYTES);
  pte_set(entry, frame | rights, 1);
  frame_drop(old);
}

bool space_fault(struct space *space, u64 vaddr, u64 error) {
  struct region *region = find(space, vaddr);
  if (!region) return false;
  if (error & FAULT_WRITE && !(region->flags & REGION_WRITE)) return false;
  if (error & FAULT_FETCH && !(region->flags & REGION_EXECUTE)) return false;
  u64 *entry = mmu_entry(space->pml4, vaddr, true);
  if (*entry & PTE_PRESENT) {
    if (!(error & FAULT_WRITE && *entry & PTE_COPY)) return false;
    pte_batch_begin();
    copy_page(entry);
    invalidate_page(vaddr);
    pte_batch_end();
    return true;
  }
  u64 frame = frame_take();
  if (!frame) panic("out of memory for a page of a process");
  pte_set(entry, frame | page_rights(region), 1);
  space->resident++;
  return true;
}

bool space_allows(struct space *space, const void *start, u64 length, bool write) {
  u64 from = (u64)start;
  if (from + length < from || from + length > USER_END) return false;
  for (u64 vaddr = from; vaddr < from + length;) {
    struct region *region = find(space, vaddr);
    if (!region || (write && !(region->flags & REGION_WRITE))) return false;
    vaddr = region->end;
  }
  return true;
}

u64 space_break(struct space *space, u64 end) {
  struct region *heap = space->heap;
  if (end >= heap->start && end < USER_MAPPINGS) {
    u64 old = heap->end;
    heap->end = page_up(end);
    if (heap->end < old) unmap(space, heap->end, old);
  }
  return heap->end;
}

void *space_page(struct space *space, u64 vaddr) {
  u64 *entry = mmu_entry(space->pml4, vaddr, true);
  if (!(*entry & PTE_PRESENT) && !space_fault(space, vaddr, 0)) panic("no region at %lx", vaddr);
  return physical(*entry & PTE_FRAME);
}
