/* Page tables by hypercall. The kernel goes on with the tables of the domain builder, which map all RAM; a table of its own is read-only there
 * from table_begin to table_end. A space has two roots: in kernel mode the one that space.c knows, in user mode another, which has the lower half only
 * and whose address is in an entry of the first that is not present. */
#include "../cpu.h"
#include "../memory.h"

#define USER_ROOT_SLOT 256
#define BATCH_MAX 128

static struct pv_mmu_update queue[BATCH_MAX];
static u64 queued;
static int batches;
static bool flush_wanted;
static u64 root;

/* Nobody else may come here meanwhile: an event that is handled changes no tables, and the kernel is not preempted. */
static void flush(void) {
  struct pv_mmuext tlb = {MMUEXT_TLB_FLUSH_LOCAL, 0, 0};
  struct pv_multicall calls[2] = {
      {HYPERVISOR_mmu_update, 0, {(u64)queue, queued, 0}},
      {HYPERVISOR_mmuext_op, 0, {(u64)&tlb, 1, 0}},
  };
  i64 result = 0;
  if (queued && flush_wanted) {
    result = hypercall(HYPERVISOR_multicall, (u64)calls, 2, 0);
    if (!result) result = calls[0].result;
  } else if (queued) {
    result = hypercall(HYPERVISOR_mmu_update, (u64)queue, queued, 0);
  } else if (flush_wanted) {
    result = hypercall(HYPERVISOR_mmuext_op, (u64)&tlb, 1, 0);
  }
  if (result) panic("page tables: the hypervisor refuses one of %lu updates, error %ld (first: %lx = %lx)", queued, result, queue[0].pointer, queue[0].value);
  queued = 0;
  flush_wanted = false;
}

static void put(u64 *entry, u64 value) {
  if (queued == BATCH_MAX) flush();
  queue[queued++] = (struct pv_mmu_update){paddr_of(entry), value};
}

void pte_set(u64 *entry, u64 value, int level) {
  put(entry, value);
  if (level == 4) {
    u64 user = ((u64 *)page_down((u64)entry))[USER_ROOT_SLOT];
    put((u64 *)physical(user) + ((u64)entry & (PAGE_BYTES - 1)) / 8, value);
  }
  if (!batches) flush();
}

void pte_batch_begin(void) { batches++; }
void pte_batch_end(void) {
  if (--batches == 0) flush();
}

void invalidate_page(u64 vaddr) {
  if (batches) {
    flush_wanted = true;
    return;
  }
  struct pv_mmuext one = {MMUEXT_INVLPG_LOCAL, 0, vaddr};
  hypercall(HYPERVISOR_mmuext_op, (u64)&one, 1, 0);
}

/* How the map of all RAM shows a frame. */
static void show(u64 frame, u64 rights) {
  u64 vaddr = (u64)physical(frame);
  u64 *entry = mmu_entry(kernel_pml4, vaddr, false);
  if (!entry) panic("frame %lx is not mapped", frame);
  put(entry, frame | PTE_PRESENT | rights | nx_bit);
}

void table_begin(u64 frame) {
  show(frame, 0);
  if (!batches) flush();
}

u64 table_end(u64 *entry, int level) {
  u64 frame = *entry & PTE_FRAME;
  batches++;
  pte_set(entry, 0, level);
  show(frame, PTE_WRITE);
  batches--;
  flush(); /* whoever gets the frame writes to it */
  return frame;
}

static void extended(const struct pv_mmuext *operations, u64 count) {
  i64 result = hypercall(HYPERVISOR_mmuext_op, (u64)operations, count, 0);
  if (result) panic("page tables: the hypervisor refuses operation %u of %lx, error %ld", operations[0].operation, operations[0].argument, result);
}

void root_begin(u64 frame) {
  u64 user = frame_take();
  if (!user) panic("out of memory for an address space");
  ((u64 *)physical(frame))[USER_ROOT_SLOT] = user;
  show(frame, 0);
  show(user, 0);
  flush();
  const struct pv_mmuext pins[] = {{MMUEXT_PIN_L4_TABLE, 0, frame / PAGE_BYTES}, {MMUEXT_PIN_L4_TABLE, 0, user / PAGE_BYTES}};
  extended(pins, 2);
}

void root_end(u64 frame) {
  u64 user = ((u64 *)physical(frame))[USER_ROOT_SLOT];
  const struct pv_mmuext pins[] = {{MMUEXT_UNPIN_TABLE, 0, frame / PAGE_BYTES}, {MMUEXT_UNPIN_TABLE, 0, user / PAGE_BYTES}};
  extended(pins, 2);
  show(frame, PTE_WRITE);
  show(user, PTE_WRITE);
  flush();
  frame_drop(user);
}

u64 read_cr3(void) { return root; }

void write_cr3(u64 pml4) {
  u64 user = ((const u64 *)physical(pml4))[USER_ROOT_SLOT];
  const struct pv_mmuext roots[] = {{MMUEXT_NEW_BASEPTR, 0, pml4 / PAGE_BYTES}, {MMUEXT_NEW_USER_BASEPTR, 0, user / PAGE_BYTES}};
  extended(roots, 2);
  root = pml4;
}

void mmu_start(void) {
  nx_bit = PTE_NX;
  kernel_pml4 = root = start_info(START_BASEPTR) * PAGE_BYTES;
  /* All else is writable and not executable already. */
  pte_batch_begin();
  for (u64 vaddr = (u64)text_start; vaddr < (u64)data_start; vaddr += PAGE_BYTES)
    put(mmu_entry(kernel_pml4, vaddr, false), paddr_of((void *)vaddr) | PTE_PRESENT | (vaddr < (u64)rodata_start ? 0 : nx_bit));
  pte_batch_end();
}
