/* Memory: physical frames, small objects, the kernel's mappings, address spaces of processes.
 *
 *   0000000000400000   program           ffffffff80000000   direct map of the first GiB of RAM, the kernel
 *   ...                heap (brk)                            at +1 MiB; text RX, rodata R, the rest RW
 *   0000001000000000   mappings (mmap)   ffffffffc0000000   device registers, uncached, page by page
 *   0000007fffffe000   stack, downwards */
#ifndef MEMORY_H
#define MEMORY_H
#include "kernel.h"

#define PAGE_BYTES 4096ul
#define KERNEL_BASE 0xffffffff80000000ul
#define KERNEL_LOAD 0x100000ul
#define DIRECT_MAP_BYTES 0x40000000ul
#define DEVICE_MAP_BASE 0xffffffffc0000000ul
#define USER_MAPPINGS 0x1000000000ul
#define USER_STACK_TOP 0x7fffffe000ul
#define USER_STACK_BYTES (256 * 1024ul)
#define USER_END 0x7ffffff000ul

static inline void *physical(u64 paddr) { return (void *)(paddr + KERNEL_BASE); }
static inline u64 paddr_of(const void *pointer) { return (u64)pointer - KERNEL_BASE; }
static inline u64 page_down(u64 address) { return address & ~(PAGE_BYTES - 1); }
static inline u64 page_up(u64 address) { return page_down(address + PAGE_BYTES - 1); }

/* From kernel.ld */
extern char text_start[], rodata_start[], data_start[], kernel_end[];

/* frame.c: physical pages, counted by their users */
void frames_start(void);
u64 frame_take(void); /* zeroed; 0 when there is no more */
void frame_share(u64 frame);
void frame_drop(u64 frame);
u64 frame_users(u64 frame);
u64 frames_free(void);

/* heap.c: objects of 64 bytes */
#define OBJECT_BYTES 64
void *object_take(void); /* zeroed; panics when memory is gone */
void object_give(void *object);

/* mmu.c: four-level tables */
#define PTE_PRESENT (1ul << 0)
#define PTE_WRITE (1ul << 1)
#define PTE_USER (1ul << 2)
#define PTE_WRITE_THROUGH (1ul << 3)
#define PTE_CACHE_OFF (1ul << 4)
#define PTE_LARGE (1ul << 7)
#define PTE_GLOBAL (1ul << 8)
#define PTE_COPY (1ul << 9) /* free for software: shared, copy before the first write */
#define PTE_NX (1ul << 63)
#define PTE_FRAME 0x000ffffffffff000ul
extern u64 kernel_pml4;
extern u64 nx_bit; /* PTE_NX, or 0 on a CPU without */
/* Tables change through these only. `level` is that of the table that the entry is in, 1 to 4. */
#ifdef PV /* pv/memory.c: by hypercall */
void pte_set(u64 *entry, u64 value, int level);
void pte_batch_begin(void);
void pte_batch_end(void);
void table_begin(u64 frame);
u64 table_end(u64 *entry, int level);
void root_begin(u64 frame);
void root_end(u64 frame);
static inline void pte_forget(u64 *entry) { (void)entry; }
#else
static inline void pte_set(u64 *entry, u64 value, int level) {
  (void)level;
  *entry = value;
}
/* Between the two, changes may be put off and made together. */
static inline void pte_batch_begin(void) {}
static inline void pte_batch_end(void) {}
/* A zeroed frame becomes a table. */
static inline void table_begin(u64 frame) { (void)frame; }
/* What the entry leads to is no table any more; the frame. */
static inline u64 table_end(u64 *entry, int level) {
  (void)level;
  return *entry & PTE_FRAME;
}
/* The same of a top-level table. */
static inline void root_begin(u64 frame) { (void)frame; }
static inline void root_end(u64 frame) { (void)frame; }
/* An entry of a table that goes as a whole. */
static inline void pte_forget(u64 *entry) { *entry = 0; }
#endif
void mmu_start(void);
u64 *mmu_entry(u64 pml4, u64 vaddr, bool create);
volatile void *mmu_map_device(u64 paddr);

/* space.c: what a process sees */
#define REGION_WRITE 1
#define REGION_EXECUTE 2
#define REGION_MAPPING 4 /* made by mmap, may go by munmap */

struct region {
  u64 start;
  u64 magic;
  u64 end;
  u64 flags;
  struct region *next;
};

struct space {
  u64 resident; /* pages of its own that are present */
  u64 magic;
  u64 pml4;
  struct region *regions;
  struct region *heap;
  u64 mapping_next;
};

struct space *space_new(void);
struct space *space_clone(struct space *from);
/* Empties it: the regions and their pages go, the space stays. */
void space_clear(struct space *space);
void space_delete(struct space *space, u32 pid);
struct region *space_add(struct space *space, u64 start, u64 end, u64 flags);
bool space_remove(struct space *space, u64 start);
/* Makes a page present or writable if its region allows it; false: the access is wrong. */
bool space_fault(struct space *space, u64 vaddr, u64 error);
/* True when every byte may be read (or written): the kernel's own access may fault, but will be resolved. */
bool space_allows(struct space *space, const void *start, u64 length, bool write);
u64 space_break(struct space *space, u64 end);
/* The page's frame as the kernel sees it, made present, whatever the region's rights: for loading a program. */
void *space_page(struct space *space, u64 vaddr);

#define FAULT_PRESENT 1
#define FAULT_WRITE 2
#define FAULT_USER 4
#define FAULT_FETCH 16
#endif
