/* 32-bit paging with PSE, then PAE: rights, large pages, reserved bits, A and D, tables that change. */
#include "lib32.h"

// 0 .. 16 MiB are mapped as they are, for privilege 0; the same again at 1 GiB for privilege 3; test pages at 2 GiB.
#define PAGE(n) (0x80000000u + (n) * 4096)
#define FRAME(n) (0x400000u + (n) * 4096)
#define USER(p) ((uptr)(p) + 0x40000000u)
static u32 directory[1024] __attribute__((aligned(4096)));
static u32 table[1024] __attribute__((aligned(4096)));
static u64 pointers[4] __attribute__((aligned(32)));
static u64 pd0[512] __attribute__((aligned(4096)));
static u64 pd1[512] __attribute__((aligned(4096)));
static u64 pd2[512] __attribute__((aligned(4096)));
static u64 pt[512] __attribute__((aligned(4096)));
static int pae;

ONE(load4, "movl (%ebx), %eax");
ONE(store4, "movl %eax, (%ebx)");
ONE(toCr3, "movl %eax, %cr3");
ONE(toCr4, "movl %eax, %cr4");
SNIP(change, "movl (%ebx), %esi\n movl %edx, (%ecx)\n change_at: invlpg (%ebx)\n movl (%ebx), %edi");
SNIP(smc, "movb $5, smc_at + 1\n smc_at: movl $1, %eax");
static const u8 justDone[] = { 0xcd, 0x81 };

static void flush(void) {
  set_cr4(get_cr4() ^ 0x80);
  set_cr4(get_cr4() ^ 0x80);
  set_cr3(get_cr3());
}
static void map(u32 page, u64 entry) {
  if (pae) *(volatile u64 *)&pt[page] = entry;
  else *(volatile u32 *)&table[page] = (u32)entry;
  invalidate(PAGE(page));
}
/** The user's view of a kernel address. */
static struct context *userAt(const void *code) {
  user(code);
  ctx.eip = USER(code);
  ctx.r[ESP] = USER(TOP(ustack));
  return &ctx;
}

static u32 expectedError(u64 pte, u64 pde, int u, int access, u32 cr0, u32 cr4, u32 flags) {
  u32 code = (access == 1 ? W : 0) | (u ? US : 0) | (access == 2 && (pae || cr4 & 1 << 20) ? 0x10 : 0);
  if (!(pte & P)) return code;
  int userPage = (pte & pde & US) != 0, writable = (pte & pde & W) != 0, noExecute = (pte | pde) >> 63;
  int bad;
  if (u) bad = !userPage || (access == 1 && !writable) || (access == 2 && noExecute);
  else if (access == 2) bad = noExecute || (userPage && (cr4 & 1 << 20));
  else bad = (access == 1 && !writable && (cr0 & 1 << 16)) || (userPage && (cr4 & 1 << 21) && !(flags & AC));
  return bad ? code | P : ~0u;
}
static void matrix(void) {
  static const char *names[] = { "rights.kernel read", "rights.user read", "rights.kernel write", "rights.user write", "rights.kernel fetch", "rights.user fetch" };
  u32 cr0 = get_cr0(), cr4 = get_cr4();
  memcopy((void *)FRAME(8), justDone, 2);
  for (int access = 0; access < 3; access++) {
    for (int u = 0; u < 2; u++) {
      begin(names[access * 2 + u]);
      for (u32 control = 0; control < 16; control++) {
        u32 c0 = control & 1 ? cr0 : cr0 & ~(1u << 16), c4 = cr4 | (control & 2 ? 1 << 20 : 0) | (control & 4 ? 1 << 21 : 0), flags = FLAGS0 | (control & 8 ? AC : 0);
        for (u32 entry = 0; entry < 128; entry++) {
          if (!pae && (entry & 0x48)) continue;
          u64 pte = FRAME(8) | (entry & 7) | (u64)(entry >> 3 & 1) << 63;
          u64 pde = P | (entry >> 3 & 6) | (u64)(entry >> 6 & 1) << 63;
          if (pae) *(volatile u64 *)&pd2[0] = pde | (uptr)pt;
          else *(volatile u32 *)&directory[512] = (u32)pde | (uptr)table;
          map(8, pte);
          u8 *code = access == 0 ? load4 : store4;
          if (u) userAt(code);
          else kernel(code);
          ctx.r[EBX] = PAGE(8) + 64;
          if (access == 2) ctx.eip = PAGE(8);
          ctx.eflags = flags;
          u32 want = expectedError(pte, pde, u, access, c0, c4, flags);
          set_cr0(c0);
          set_cr4(c4);
          go();
          set_cr4(cr4);
          set_cr0(cr0);
          u64 mark = (u64)entry << 32 | (u64)control << 48;
          if (want == ~0u) eq("vector", cap.vector | mark, DONE | mark);
          else {
            eq("vector", cap.vector | mark, PF | mark);
            eq("error", cap.error | mark, want | mark);
            eq("cr2", cap.cr2, access == 2 ? PAGE(8) : PAGE(8) + 64);
          }
        }
      }
      end();
    }
  }
  if (pae) *(volatile u64 *)&pd2[0] = (uptr)pt | P | W | US;
  else *(volatile u32 *)&directory[512] = (uptr)table | P | W | US;
  flush();
}

static u32 bits(void) {
  asm volatile("" ::: "memory");
  return pae ? (pd2[0] >> 5 & 1) | (pt[8] >> 4 & 6) : (directory[512] >> 5 & 1) | (table[8] >> 4 & 6);
}
static void both(void) {
  matrix();
  u64 rights = P | W | US;
  *(volatile u32 *)FRAME(8) = 0xaaaa;
  *(volatile u32 *)FRAME(9) = 0xbbbb;
  if (pae) pd2[0] &= ~(u64)A;
  else directory[512] &= ~(u32)A;
  map(8, FRAME(8) | rights);
  flush();
  kernel(load4)->r[EBX] = PAGE(8);
  go();
  check("ad.read", bits(), 3);
  kernel(store4)->r[EBX] = PAGE(8);
  ctx.r[EAX] = 0xaaaa;
  go();
  check("ad.write", bits(), 7);

  begin("change.pte");
  u32 entry = pae ? (uptr)&pt[8] : (uptr)&table[8];
  kernel(change)->r[EBX] = PAGE(8);
  ctx.r[ECX] = entry;
  ctx.r[EDX] = FRAME(9) | P | W | US;
  go();
  eq("before", cap.r[ESI], 0xaaaa);
  eq("after", cap.r[EDI], 0xbbbb);
  end();
  begin("change.pde");
  map(8, FRAME(8) | rights);
  memset8((void *)FRAME(40), 0, 4096);
  if (pae) *(volatile u64 *)(FRAME(40) + 64) = FRAME(9) | rights;
  else *(volatile u32 *)(FRAME(40) + 32) = FRAME(9) | (u32)rights;
  kernel(change)->r[EBX] = PAGE(8);
  ctx.r[ECX] = pae ? (uptr)&pd2[0] : (uptr)&directory[512];
  ctx.r[EDX] = FRAME(40) | P | W | US;
  go();
  eq("before", cap.r[ESI], 0xaaaa);
  eq("after", cap.r[EDI], 0xbbbb);
  end();
  if (pae) *(volatile u64 *)&pd2[0] = (uptr)pt | rights;
  else *(volatile u32 *)&directory[512] = (uptr)table | (u32)rights;
  flush();

  u32 size = pae ? 0x200000 : 0x400000, at = PAGE(0) + size;
  volatile void *slot = pae ? (void *)&pd2[1] : (void *)&directory[513];
  begin("large.page");
  if (pae) *(volatile u64 *)slot = 0x400000 | rights | PS;
  else *(volatile u32 *)slot = 0x400000 | (u32)rights | PS;
  invalidate(at);
  kernel(load4)->r[EBX] = at + 0x9000;
  go();
  eq("eax", cap.r[EAX], 0xbbbb);
  eq("A", *(volatile u32 *)slot & 0x60, A);
  kernel(store4)->r[EBX] = at + 0x9004;
  go();
  eq("D", *(volatile u32 *)slot & 0x60, A | D);
  end();
  begin("large.read-only for the user");
  if (pae) *(volatile u64 *)slot = 0x400000 | P | US | PS;
  else *(volatile u32 *)slot = 0x400000 | P | US | PS;
  invalidate(at + 0x9000);
  userAt(store4)->r[EBX] = at + 0x9000;
  go();
  fault(PF, P | W | US, USER(store4));
  end();
  begin("large.reserved");
  if (pae) *(volatile u64 *)slot = 0x400000 | P | PS | 1 << 13;
  else *(volatile u32 *)slot = 0x400000 | P | PS | 1 << 21;
  invalidate(at + 0x9000);
  kernel(load4)->r[EBX] = at + 0x9000;
  go();
  fault(PF, P | 8, (uptr)load4);
  end();
  *(volatile u32 *)slot = 0;
  begin("crossing.second page missing");
  map(8, FRAME(8) | rights);
  map(9, 0);
  userAt(store4)->r[EBX] = PAGE(9) - 2;
  go();
  fault(PF, W | US, USER(store4));
  eq("cr2", cap.cr2, PAGE(9));
  end();
  begin("smc");
  kernel(smc);
  go();
  eq("eax", cap.r[EAX], 5);
  *(volatile u8 *)(smc_at + 1) = 1;
  end();
  begin("user stack switch with paging");
  userAt(justDone)->eip = USER(change_end);
  go();
  trap(DONE, USER(change_end) + 2);
  end();
}

void kernel_main(void) {
  init32();
  if (ours) {
    static const u8 nop[] = { 0x0f, 0x1f, 0x00 };
    memcopy(change_at, nop, 3);
  }
  set_cr4(get_cr4() | 0x10); // PSE
  for (u32 i = 0; i < 4; i++) {
    directory[i] = i << 22 | P | W | PS;
    directory[256 + i] = i << 22 | P | W | US | PS;
  }
  directory[512] = (uptr)table | P | W | US;
  set_cr3((uptr)directory);
  set_cr0(get_cr0() | 0x80000000);
  print("32-bit paging\n");
  both();
  begin("pse.beyond 4 GiB is not RAM");
  directory[514] = 0x400000 | 1 << 13 | P | W | PS;
  flush();
  kernel(load4)->r[EBX] = 0x80800000 + 0x9000;
  go();
  eq("vector", cap.vector, DONE);
  eq("eax", cap.r[EAX], 0xffffffff);
  tcg("unassigned memory reads as zeros in QEMU");
  end();
  set_cr0(get_cr0() & ~0x80000000u);
  pae = 1;
  for (u32 i = 0; i < 8; i++) {
    pd0[i] = i << 21 | P | W | PS;
    pd1[i] = i << 21 | P | W | US | PS;
  }
  pd2[0] = (uptr)pt | P | W | US;
  pointers[0] = (uptr)pd0 | P;
  pointers[1] = (uptr)pd1 | P;
  pointers[2] = (uptr)pd2 | P;
  set_cr4(get_cr4() | 0x20);
  wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800); // NXE
  set_cr3((uptr)pointers);
  set_cr0(get_cr0() | 0x80000000);
  print("PAE\n");
  both();
  begin("pae.bits 62:52 are reserved");
  map(8, FRAME(8) | P | W | 1ull << 55);
  kernel(load4)->r[EBX] = PAGE(8);
  go();
  fault(PF, P | 8, (uptr)load4);
  tcg("TCG lets them through: SDM vol. 3A table 4-11");
  end();
  begin("pae.bit 40 is reserved");
  map(8, FRAME(8) | P | W | 1ull << 40);
  kernel(load4)->r[EBX] = PAGE(8);
  go();
  fault(PF, P | 8, (uptr)load4);
  end();
  map(8, FRAME(8) | P | W);
  begin("pae.pointers are read by MOV CR3 only");
  *(volatile u64 *)&pointers[2] = 0;
  kernel(load4)->r[EBX] = PAGE(8);
  go();
  eq("vector", cap.vector, DONE);
  tcg("TCG reads the pointers at each walk: SDM vol. 3A 4.4.1");
  set_cr3((uptr)pointers);
  kernel(load4)->r[EBX] = PAGE(8);
  go();
  eq("vector", cap.vector, PF);
  eq("error", cap.error, 0);
  pointers[2] = (uptr)pd2 | P;
  set_cr3((uptr)pointers);
  end();
  static const struct { const char *name; u64 bit; } reserved[] = {
    { "pae.pointer W", W }, { "pae.pointer U", US }, { "pae.pointer bit 8", 0x100 }, { "pae.pointer bit 40", 1ull << 40 }, { "pae.pointer bit 63", 1ull << 63 },
  };
  for (u32 i = 0; ours && i < sizeof reserved / sizeof *reserved; i++) {
    begin(reserved[i].name);
    u32 cr3 = get_cr3();
    pointers[3] = (uptr)pd2 | P | reserved[i].bit;
    kernel(toCr3)->r[EAX] = (uptr)pointers;
    go();
    fault(GP, 0, (uptr)toCr3);
    eq("cr3", get_cr3(), cr3);
    pointers[3] = 0;
    end();
  }
  begin("pae.a pointer that is not present has no reserved bits");
  pointers[3] = 0xffffffffffffff00ull & ~1ull;
  kernel(toCr3)->r[EAX] = (uptr)pointers;
  go();
  eq("vector", cap.vector, DONE);
  pointers[3] = 0;
  end();
  finish();
}
