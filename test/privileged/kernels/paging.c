/* 4-level paging: error codes, A and D bits, page sizes, global pages, and that tables and code may change at any time. */
#include "lib64.h"

ONE(load8, "movq (%rbx), %rax");
ONE(store8, "movq %rax, (%rbx)");
ONE(loadByte, "movb (%rbx), %al");
static const u8 justDone[] = { 0xcd, 0x81 };

// ---- all rights of a page against all kinds of access ----

enum { READ, WRITE, FETCH };
static u64 expectedError(u64 pte, u64 pde, int user, int access, u64 cr0, u64 cr4, u64 flags) {
  u64 code = (access == WRITE ? W : 0) | (user ? US : 0) | (access == FETCH ? 0x10 : 0);
  if (!(pte & P)) return code;
  if (pte & 1ull << 45) return code | (ours ? P | 8 : 8);
  int userPage = (pte & pde & US) != 0, writable = (pte & pde & W) != 0, noExecute = ((pte | pde) & NX) != 0;
  int bad;
  if (user) bad = !userPage || (access == WRITE && !writable) || (access == FETCH && noExecute);
  else if (access == FETCH) bad = noExecute || (userPage && (cr4 & 1 << 20));
  else bad = (access == WRITE && !writable && (cr0 & 1 << 16)) || (userPage && (cr4 & 1 << 21) && !(flags & AC));
  return bad ? code | P : ~0ull;
}
static void matrix(void) {
  static const char *names[] = { "rights.kernel read", "rights.user read", "rights.kernel write", "rights.user write", "rights.kernel fetch", "rights.user fetch" };
  u64 cr0 = get_cr0(), cr4 = get_cr4();
  memcopy(LOW(FRAME(8)), justDone, 2);
  for (int access = 0; access < 3; access++) {
    for (int user_ = 0; user_ < 2; user_++) {
      begin(names[access * 2 + user_]);
      for (u32 control = 0; control < 16; control++) {
        u64 c0 = control & 1 ? cr0 : cr0 & ~(1ull << 16);
        u64 c4 = cr4 | (control & 2 ? 1 << 20 : 0) | (control & 4 ? 1 << 21 : 0);
        u64 flags = FLAGS0 | (control & 8 ? AC : 0);
        // SMAP and SMEP matter to the kernel only.
        if (user_ && (control & 14)) continue;
        for (u32 entry = 0; entry < 256; entry++) {
          u64 pte = FRAME(8) | (entry & 1 ? P : 0) | (entry & 2 ? W : 0) | (entry & 4 ? US : 0) | (entry & 8 ? NX : 0) | (entry & 16 ? 1ull << 45 : 0);
          u64 pde = (uptr)test_pt | P | (entry & 32 ? W : 0) | (entry & 64 ? US : 0) | (entry & 128 ? NX : 0);
          *(volatile u64 *)&test_pd2[0] = pde;
          map(8, pte);
          u8 *code = access == READ ? load8 : store8;
          if (user_) user(code);
          else kernel(code);
          ctx.r[RBX] = PAGE(8) + 64;
          if (access == FETCH) ctx.rip = PAGE(8);
          ctx.rflags = flags;
          u64 want = expectedError(pte, pde, user_, access, c0, c4, flags);
          set_cr0(c0);
          set_cr4(c4);
          go();
          set_cr4(cr4);
          set_cr0(cr0);
          if (want == ~0ull) eq("vector", cap.vector | (u64)entry << 32 | (u64)control << 48, DONE | (u64)entry << 32 | (u64)control << 48);
          else {
            eq("vector", cap.vector | (u64)entry << 32 | (u64)control << 48, PF | (u64)entry << 32 | (u64)control << 48);
            eq("error", cap.error | (u64)entry << 32 | (u64)control << 48, want | (u64)entry << 32 | (u64)control << 48);
            eq("cr2", cap.cr2, access == FETCH ? PAGE(8) : PAGE(8) + 64);
            eq("rip", cap.rip, ctx.rip);
          }
        }
      }
      end();
    }
  }
  *(volatile u64 *)&test_pd2[0] = (uptr)test_pt | P | W | US;
  flush();
}

SNIP(smap, "stac\n movq (%rbx), %rax\n clac\n smap_at: movq (%rbx), %rax");
SNIP(smapUser, "stac");
static void reservedBits(void) {
  struct row { const char *name; u64 *entry; u64 value; };
  static const u64 base = P | W | US;
  const struct row rows[] = {
    { "reserved.pml4e bit 7", &test_pml4[0x1f0], (uptr)test_pd3 | P | W | US | PS },
    { "reserved.pml4e bit 40", &test_pml4[0x1f0], (uptr)test_pd3 | P | W | US | 1ull << 40 },
    { "reserved.pdpte bit 51", &test_pd3[0], (uptr)test_pt2 | P | W | US | 1ull << 51 },
    { "reserved.1 GiB bit 13", &test_pd3[0], P | W | US | PS | 1 << 13 },
    { "reserved.1 GiB bit 29", &test_pd3[0], P | W | US | PS | 1 << 29 },
    { "reserved.pde bit 45", &test_pt2[0], FRAME(40) | P | W | US | 1ull << 45 },
    { "reserved.2 MiB bit 13", &test_pt2[0], P | W | US | PS | 1 << 13 },
    { "reserved.2 MiB bit 20", &test_pt2[0], P | W | US | PS | 1 << 20 },
    { "reserved.pte bit 40", LOW(FRAME(40)), FRAME(41) | P | W | US | 1ull << 40 },
    { "reserved.not present wins", LOW(FRAME(40)), FRAME(41) | W | US | 1ull << 40 },
    { "reserved.ignored bits", LOW(FRAME(40)), FRAME(41) | P | W | US | 0x7ffull << 52 | 0xe00 },
    { "reserved.1 GiB pat", &test_pd3[0], P | W | US | PS | 1 << 12 },
    { "reserved.2 MiB pat", &test_pt2[0], P | W | US | PS | 1 << 12 },
  };
  u64 va = 0xfffff80000000000ull;
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    memset8(LOW(FRAME(40)), 0, 4096);
    test_pml4[0x1f0] = (uptr)test_pd3 | base;
    test_pd3[0] = (uptr)test_pt2 | base;
    test_pt2[0] = FRAME(40) | base;
    *(volatile u64 *)LOW(FRAME(40)) = FRAME(41) | base;
    *(volatile u64 *)rows[i].entry = rows[i].value;
    flush();
    begin(rows[i].name);
    kernel(load8)->r[RBX] = va + 0x10;
    go();
    if (i == 9) eq("error", cap.error | cap.vector << 32, 0ull | (u64)PF << 32);
    else if (i >= 10) eq("vector", cap.vector, DONE);
    else {
      fault(PF, P | 8, (uptr)load8);
      eq("cr2", cap.cr2, va + 0x10);
    }
    end();
  }
  test_pml4[0x1f0] = test_pd3[0] = test_pt2[0] = 0;
  flush();
  u64 efer = rdmsr(0xc0000080);
  map(8, FRAME(8) | P | W | US | NX);
  wrmsr(0xc0000080, efer & ~0x800ull);
  flush();
  kernel(load8)->r[RBX] = PAGE(8);
  faults("reserved.NX without NXE", PF, P | 8, (uptr)load8);
  user(load8)->rip = PAGE(8);
  faults("reserved.NX without NXE, fetch: no I bit", PF, P | 8 | US, PAGE(8));
  u64 cr4 = get_cr4();
  set_cr4(cr4 | 1 << 20);
  user(load8)->rip = PAGE(8);
  faults("reserved.fetch with SMEP: I bit", PF, P | 8 | US | 0x10, PAGE(8));
  set_cr4(cr4);
  wrmsr(0xc0000080, efer);
  flush();
}

// ---- accessed and dirty ----

static u64 levels(void) { // A of pml4e pdpte pde, then A and D of the pte
  return (test_pml4[0] >> 5 & 1) | (test_pdpt[2] >> 5 & 1) << 1 | (test_pd2[0] >> 5 & 1) << 2 | (test_pt[8] >> 5 & 3) << 3 | (test_pd2[0] >> 6 & 1) << 5;
}
static void clearLevels(void) {
  asm volatile("" ::: "memory");
  test_pml4[0] &= ~0x60ull;
  test_pdpt[2] &= ~0x60ull;
  test_pd2[0] &= ~0x60ull;
  test_pt[8] &= ~0x60ull;
  asm volatile("" ::: "memory");
  flush();
}
static void accessedDirty(void) {
  map(8, FRAME(8) | P | W | US);
  clearLevels();
  check("ad.clear", levels() & ~1ull, 0);
  kernel(load8)->r[RBX] = PAGE(8);
  go();
  check("ad.read sets A at all levels", levels(), 0x0f);
  kernel(store8)->r[RBX] = PAGE(8);
  go();
  check("ad.write after read sets D", levels(), 0x1f);
  clearLevels();
  user(store8)->r[RBX] = PAGE(8);
  go();
  check("ad.user write", levels(), 0x1f);
  clearLevels();
  memcopy(LOW(FRAME(8)), justDone, 2);
  user(load8)->rip = PAGE(8);
  go();
  check("ad.fetch sets A", levels(), 0x0f);
  map(8, FRAME(8) | P | US);
  clearLevels();
  user(store8)->r[RBX] = PAGE(8);
  go();
  begin("ad.refused write leaves the leaf");
  eq("vector", cap.vector, PF);
  eq("leaf", levels() >> 3, 0);
  end();
  u64 cr0 = get_cr0();
  set_cr0(cr0 & ~(1ull << 16));
  clearLevels();
  kernel(store8)->r[RBX] = PAGE(8);
  go();
  set_cr0(cr0);
  check("ad.write with WP off sets D of a read-only page", levels(), 0x1f);
  map(8, FRAME(8) | P | W | US);
  clearLevels();
  kernel(load8)->r[RBX] = PAGE(8);
  go();
  *(volatile u64 *)&test_pt[8] &= ~(u64)A;
  invalidate(PAGE(8));
  kernel(load8)->r[RBX] = PAGE(8);
  go();
  check("ad.A comes back when software clears it", levels(), 0x0f);
  kernel(store8)->r[RBX] = PAGE(8);
  go();
  *(volatile u64 *)&test_pt[8] &= ~(u64)D;
  invalidate(PAGE(8));
  kernel(store8)->r[RBX] = PAGE(8);
  go();
  check("ad.D comes back when software clears it", levels(), 0x1f);

  *(volatile u64 *)&test_pd2[1] = 0x600000 | P | W | US | PS;
  invalidate(0x80200000);
  kernel(load8)->r[RBX] = 0x80201000;
  go();
  check("ad.2 MiB read", test_pd2[1] & 0x60, A);
  kernel(store8)->r[RBX] = 0x80203000;
  go();
  check("ad.2 MiB write", test_pd2[1] & 0x60, A | D);
  *(volatile u64 *)&test_pdpt[4] = P | W | US | PS;
  flush();
  kernel(load8)->r[RBX] = 0x100000000ull + FRAME(8);
  go();
  check("ad.1 GiB read", test_pdpt[4] & 0x60, A);
  kernel(store8)->r[RBX] = 0x100000000ull + FRAME(8);
  go();
  check("ad.1 GiB write", test_pdpt[4] & 0x60, A | D);
}

// ---- page sizes ----

static void sizes(void) {
  *(volatile u64 *)LOW(0x600000 + 0x1ff8) = 0xabcdef;
  *(volatile u64 *)&test_pd2[1] = 0x600000 | P | W | US | PS;
  *(volatile u64 *)&test_pdpt[4] = P | W | US | PS;
  flush();
  kernel(load8)->r[RBX] = 0x80201ff8;
  go();
  check("size.2 MiB", cap.r[RAX], 0xabcdef);
  kernel(load8)->r[RBX] = 0x100601ff8;
  go();
  check("size.1 GiB", cap.r[RAX], 0xabcdef);
  begin("size.from 4 KiB to 2 MiB");
  map(511, FRAME(8) | P | W);
  kernel(store8)->r[RBX] = 0x80200000 - 4;
  ctx.r[RAX] = 0x1122334455667788;
  go();
  eq("low", *(volatile u32 *)LOW(FRAME(8) + 4092), 0x55667788);
  eq("high", *(volatile u32 *)LOW(0x600000), 0x11223344);
  end();
  begin("size.2 MiB to 4 KiB split");
  for (u32 i = 0; i < 512; i++) test_pt2[i] = (FRAME(8) + 0x1000 * (i & 1)) | P | W | US;
  *(volatile u64 *)LOW(FRAME(8) + 8) = 0x77;
  *(volatile u64 *)&test_pd2[1] = (uptr)test_pt2 | P | W | US;
  invalidate(0x80200000);
  invalidate(0x80202000);
  kernel(load8)->r[RBX] = 0x80202008;
  go();
  eq("rax", cap.r[RAX], 0x77);
  end();
  *(volatile u64 *)&test_pd2[1] = 0;
  invalidate(0x80202000);
  kernel(load8)->r[RBX] = 0x80202008;
  faults("size.removed", PF, 0, (uptr)load8);
  begin("size.beyond RAM reads as ones");
  map(8, 0xfffff000000ull | P);
  map(8, 0x7000000000ull | P | W);
  kernel(load8)->r[RBX] = PAGE(8);
  go();
  eq("rax", cap.r[RAX], ~0ull);
  tcg("unassigned memory reads as zeros in QEMU");
  end();
}

// ---- tables change while they are in use ----

// rbx: address, rcx: table entry, rdx: new value. The INVLPG is a NOP on our machine.
SNIP(change, "movq (%rbx), %rsi\n movq %rdx, (%rcx)\n change_at: invlpg (%rbx)\n movq (%rbx), %rdi");
SNIP(changeByte, "movq (%rbx), %rsi\n shrq $8, %rdx\n movb %dl, 1(%rcx)\n changeByte_at: invlpg (%rbx)\n movq (%rbx), %rdi");
SNIP(changeXchg, "movq (%rbx), %rsi\n xchgq %rdx, (%rcx)\n changeXchg_at: invlpg (%rbx)\n movq (%rbx), %rdi");
SNIP(changeCas, "movq (%rbx), %rsi\n movq (%rcx), %rax\n lock cmpxchgq %rdx, (%rcx)\n changeCas_at: invlpg (%rbx)\n movq (%rbx), %rdi");
SNIP(changeRep, "movq (%rbx), %rsi\n movq %rsi, %r8\n movq %rcx, %rdi\n movq %rdx, %rax\n movl $2, %ecx\n rep stosq\n changeRep_at: invlpg (%rbx)\n movq (%rbx), %rdi\n movq %r8, %rsi");
SNIP(changeMovs, "movq (%rbx), %r8\n pushq %rdx\n pushq %rdx\n movq %rcx, %rdi\n movq %rsp, %rsi\n movl $2, %ecx\n rep movsq\n popq %rsi\n popq %rsi\n changeMovs_at: invlpg (%rbx)\n movq (%rbx), %rdi\n movq %r8, %rsi");
SNIP(changeWrite, "movq %rsi, (%rbx)\n movq %rdx, (%rcx)\n changeWrite_at: invlpg (%rbx)\n movq %rsi, (%rbx)\n movq $1, %rdi");
SNIP(changeBack, "movl $50, %r9d\n xorl %edi, %edi\n movq (%rcx), %r8\n 1: movq %rdx, (%rcx)\n changeBack_at: invlpg (%rbx)\n addq (%rbx), %rdi\n movq %r8, (%rcx)\n"
  "changeBack_next: invlpg (%rbx)\n addq (%rbx), %rdi\n decl %r9d\n jnz 1b");
static void quiet(u8 *at) {
  static const u8 nop[] = { 0x0f, 0x1f, 0x00 };
  if (ours) memcopy(at, nop, 3);
}
static void change1(const char *name, u8 *code, u64 *entry, u64 value) {
  begin(name);
  kernel(code)->r[RBX] = PAGE(8);
  ctx.r[RCX] = (uptr)entry;
  ctx.r[RDX] = value;
  ctx.r[RSI] = 0;
  go();
  eq("vector", cap.vector, DONE);
  eq("before", cap.r[RSI], 0xaaaa);
  eq("after", cap.r[RDI], 0xbbbb);
  end();
  flush();
}
static void changes(void) {
  quiet(change_at);
  quiet(changeByte_at);
  quiet(changeXchg_at);
  quiet(changeCas_at);
  quiet(changeRep_at);
  quiet(changeMovs_at);
  quiet(changeWrite_at);
  quiet(changeBack_at);
  quiet(changeBack_next);
  u64 rights = P | W | US;
  *(volatile u64 *)LOW(FRAME(8)) = 0xaaaa;
  *(volatile u64 *)LOW(FRAME(9)) = 0xbbbb;
  static const struct { const char *name; u8 *code; } ways[] = {
    { "change.pte by mov", change }, { "change.pte by xchg", changeXchg }, { "change.pte by cmpxchg", changeCas }, { "change.pte by rep stos", changeRep },
    { "change.pte by rep movs", changeMovs },
  };
  for (u32 i = 0; i < sizeof ways / sizeof *ways; i++) {
    for (int global = 0; global < 2; global++) {
      u64 g = global ? G : 0;
      set_cr4(get_cr4() | 0x80);
      map(8, FRAME(8) | rights | g);
      change1(global ? "  global" : ways[i].name, ways[i].code, &test_pt[8], FRAME(9) | rights | g);
      // Through another mapping of the table
      map(8, FRAME(8) | rights | g);
      map(400, (uptr)test_pt | P | W);
      change1("  by an alias of the table", ways[i].code, LOW(PAGE(400) + 64), FRAME(9) | rights | g);
      map(400, 0);
    }
  }
  set_cr4(get_cr4() & ~0x80ull);
  map(8, FRAME(8) | rights);
  change1("change.pte, one byte of it", changeByte, &test_pt[8], FRAME(9) | rights);
  // Upper levels: tables at frames 40..43 that lead to frame 9
  memset8(LOW(FRAME(40)), 0, 3 * 4096);
  ((u64 *)LOW(FRAME(40)))[8] = FRAME(9) | rights;
  ((u64 *)LOW(FRAME(41)))[0] = FRAME(40) | rights;
  memcopy(LOW(FRAME(42)), test_pdpt, 4096);
  ((u64 *)LOW(FRAME(42)))[2] = FRAME(41) | rights;
  map(8, FRAME(8) | rights);
  change1("change.pde", change, &test_pd2[0], FRAME(40) | rights);
  test_pd2[0] = (uptr)test_pt | rights;
  flush();
  change1("change.pdpte", change, &test_pdpt[2], FRAME(41) | rights);
  test_pdpt[2] = (uptr)test_pd2 | rights;
  flush();
  change1("change.pml4e", change, &test_pml4[0], FRAME(42) | rights);
  test_pml4[0] = (uptr)test_pdpt | rights;
  flush();
  change1("change.pde to a 2 MiB page", change, &test_pd2[0], 0x800000 | rights | PS);
  // (frame 0x800000 + PAGE(8)'s offset)
  test_pd2[0] = (uptr)test_pt | rights;
  flush();

  begin("change.not present");
  map(8, FRAME(8) | rights);
  kernel(change)->r[RBX] = PAGE(8);
  ctx.r[RCX] = (uptr)&test_pt[8];
  go();
  fault(PF, 0, (uptr)change_at + 3);
  end();
  begin("change.read-only");
  map(8, FRAME(8) | rights);
  kernel(changeWrite)->r[RBX] = PAGE(8);
  ctx.r[RCX] = (uptr)&test_pt[8];
  ctx.r[RDX] = FRAME(8) | P;
  ctx.r[RSI] = 0xaaaa;
  go();
  fault(PF, P | W, (uptr)changeWrite_at + 3);
  end();
  begin("change.forth and back");
  map(8, FRAME(8) | rights);
  kernel(changeBack)->r[RBX] = PAGE(8);
  ctx.r[RCX] = (uptr)&test_pt[8];
  ctx.r[RDX] = FRAME(9) | rights;
  go();
  eq("vector", cap.vector, DONE);
  eq("sum", cap.r[RDI], 50 * (0xaaaa + 0xbbbb));
  end();
  begin("change.not present to present needs no INVLPG");
  map(8, 0);
  kernel(load8)->r[RBX] = PAGE(8);
  go();
  eq("vector", cap.vector, PF);
  *(volatile u64 *)&test_pt[8] = FRAME(9) | rights;
  kernel(load8)->r[RBX] = PAGE(8);
  go();
  eq("vector", cap.vector, DONE);
  eq("rax", cap.r[RAX], 0xbbbb);
  end();
  begin("change.by privilege 3 in a table it can write");
  map(8, FRAME(8) | rights);
  map(400, (uptr)test_pt | rights);
  static const u8 code[] = { 0x48, 0x8b, 0x33, 0x48, 0x89, 0x11, 0x48, 0x8b, 0x3b, 0xcd, 0x81 };
  user(change)->r[RBX] = PAGE(8);
  memcopy(LOW(FRAME(50)), code, sizeof code);
  map(50, FRAME(50) | P | US);
  ctx.rip = PAGE(50);
  ctx.r[RCX] = PAGE(400) + 64;
  ctx.r[RDX] = FRAME(9) | rights;
  go();
  eq("vector", cap.vector, DONE);
  eq("before", cap.r[RSI], 0xaaaa);
  eq("after", cap.r[RDI], 0xbbbb);
  tcg("without INVLPG the old translation may stay");
  end();
  map(400, 0);
}

// ---- code that changes ----

SNIP(smcNext, "movb $5, smcNext_at + 1(%rip)\n smcNext_at: movl $1, %eax");
SNIP(smcLoop, "xorl %edx, %edx\n movl $20, %ecx\n 1: movb %cl, smcLoop_at + 1(%rip)\n smcLoop_at: movl $0, %eax\n addl %eax, %edx\n decl %ecx\n jnz 1b");
SNIP(smcBehind, "xorl %edx, %edx\n movl $2, %ecx\n smcBehind_at: movl $1, %eax\n addl %eax, %edx\n movb $7, smcBehind_at + 1(%rip)\n decl %ecx\n jnz smcBehind_at");
SNIP(smcAlias, "movb $5, smcAlias_at + 1 + 0x40000000(%rip)\n smcAlias_at: movl $1, %eax");
SNIP(smcRep, "leaq smcRep_at(%rip), %rdi\n movl $2, %ecx\n movb $0x90, %al\n rep stosb\n smcRep_at: jmp smcRep_end\n movl $9, %edx");
SNIP(smcSelf, "leaq smcSelf_at(%rip), %rdi\n movl $1, %ecx\n movl $0x90909090, %eax\n smcSelf_at: stosl\n nop\n nop\n nop\n movl $3, %edx");
SNIP(smcSub, "call 1f\n movl %eax, %edx\n movb $9, smcSub_at + 1(%rip)\n call 1f\n addl %eax, %edx\n jmp smcSub_end\n 1: nop\n smcSub_at: movl $1, %eax\n ret\n");
static void selfModifying(void) {
  static const struct { const char *name; u8 *code; u32 reg; u64 want; } rows[] = {
    { "smc.next instruction", smcNext, RAX, 5 }, { "smc.loop", smcLoop, RDX, 210 }, { "smc.behind", smcBehind, RDX, 8 }, { "smc.rep stos ahead", smcRep, RDX, 9 },
    { "smc.overwrites itself", smcSelf, RDX, 3 }, { "smc.subroutine", smcSub, RDX, 10 },
  };
  // Run from a page of its own, as privilege 0 and 3, twice each
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int u = 0; u < 2; u++) {
      memcopy(LOW(FRAME(60)), rows[i].code, 128);
      map(60, FRAME(60) | P | W | (u ? US : 0));
      if (u) user(rows[i].code);
      else kernel(rows[i].code);
      ctx.rip = PAGE(60);
      begin(u ? "  user" : rows[i].name);
      go();
      eq("vector", cap.vector, DONE);
      eq("result", cap.r[rows[i].reg], rows[i].want);
      end();
    }
  }
  begin("smc.through an alias");
  kernel(smcAlias);
  go();
  eq("rax", cap.r[RAX], 5);
  end();
  // An instruction over two pages; the part in the second is patched from the first, by its own address and by an alias.
  static const u8 code[] = { 0xc6, 0x03, 0x05, 0xb8, 0x01, 0x00, 0x00, 0x00, 0xcd, 0x81 }; // movb $5, (%rbx); movl $1, %eax; int
  for (int alias = 0; alias < 2; alias++) {
    for (int again = 0; again < 2; again++) {
      memcopy(LOW(FRAME(60) + 4092), code, 4);
      memcopy(LOW(FRAME(61)), code + 4, 6);
      map(60, FRAME(60) | P | W | US);
      map(61, FRAME(61) | P | W | US);
      user(code)->rip = PAGE(61) - 4;
      ctx.r[RBX] = alias ? USER(FRAME(61)) : PAGE(61);
      begin(alias ? "smc.across pages by an alias" : "smc.across pages");
      go();
      eq("vector", cap.vector, DONE);
      eq("rax", cap.r[RAX], 5);
      end();
    }
  }
  begin("smc.second page of an instruction is remapped");
  memcopy(LOW(FRAME(60) + 4095), code + 3, 1);
  memcopy(LOW(FRAME(61)), code + 4, 6);
  memcopy(LOW(FRAME(62)), code + 4, 6);
  *(volatile u8 *)LOW(FRAME(62)) = 9;
  user(code)->rip = PAGE(61) - 1;
  go();
  eq("first", cap.r[RAX], 1);
  map(61, FRAME(62) | P | W | US);
  user(code)->rip = PAGE(61) - 1;
  go();
  eq("second", cap.r[RAX], 9);
  end();
  begin("smc.the kernel writes code that privilege 3 has run");
  for (u32 i = 1; i < 10; i++) {
    *(volatile u8 *)LOW(FRAME(62)) = i;
    user(code)->rip = PAGE(61) - 1;
    go();
    eq("rax", cap.r[RAX], i);
  }
  end();
  begin("remap.the page that runs");
  static const u8 remap[] = { 0x48, 0x89, 0x11, 0x0f, 0x01, 0x3b, 0xb8, 1, 0, 0, 0, 0xcd, 0x81 }; // mov %rdx,(%rcx); invlpg (%rbx); mov $1,%eax; int
  memcopy(LOW(FRAME(60)), remap, sizeof remap);
  memcopy(LOW(FRAME(61)), remap, sizeof remap);
  if (ours) {
    quiet(LOW(FRAME(60) + 3));
    quiet(LOW(FRAME(61) + 3));
  }
  *(volatile u8 *)LOW(FRAME(61) + 7) = 2;
  for (u32 i = 0; i < 4; i++) {
    map(60, FRAME(60 + (i & 1)) | P);
    kernel(remap)->rip = PAGE(60);
    ctx.r[RBX] = PAGE(60);
    ctx.r[RCX] = (uptr)&test_pt[60];
    ctx.r[RDX] = FRAME(61 - (i & 1)) | P;
    go();
    eq("vector", cap.vector, DONE);
    eq("rax", cap.r[RAX], 2 - (i & 1));
  }
  end();
  begin("remap.the page that runs goes away");
  map(60, FRAME(60) | P);
  kernel(remap)->rip = PAGE(60);
  ctx.r[RBX] = PAGE(60);
  ctx.r[RCX] = (uptr)&test_pt[60];
  ctx.r[RDX] = 0;
  go();
  eq("vector", cap.vector, PF);
  eq("error", cap.error, 0x10);
  eq("rip", cap.rip, PAGE(60) + (ours ? 3 : 6));
  end();
}

// ---- address spaces ----

SNIP(spaces, "movl $40, %ecx\n xorl %edx, %edx\n 1: movq %r8, %cr3\n call *%rbx\n leaq (%rdx, %rdx, 2), %rdx\n addq %rax, %rdx\n movq (%rsi), %rax\n addq %rax, %rdx\n"
  "xchgq %r8, %r9\n decl %ecx\n jnz 1b\n movq %rdi, %cr3");
static void spaces2(void) {
  u64 rights = P | W | US;
  u64 *root = LOW(FRAME(70)), *pointers = LOW(FRAME(71)), *directory = LOW(FRAME(72)), *table = LOW(FRAME(73));
  memcopy(root, test_pml4, 4096);
  memcopy(pointers, test_pdpt, 4096);
  memcopy(directory, test_pd2, 4096);
  memcopy(table, test_pt, 4096);
  root[0] = FRAME(71) | rights;
  pointers[2] = FRAME(72) | rights;
  directory[0] = FRAME(73) | rights;
  static const u8 one[] = { 0xb8, 1, 0, 0, 0, 0xc3 }, two[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
  memcopy(LOW(FRAME(60)), one, 6);
  memcopy(LOW(FRAME(61)), two, 6);
  *(volatile u64 *)LOW(FRAME(62)) = 10;
  *(volatile u64 *)LOW(FRAME(63)) = 20;
  for (int global = 0; global < 3; global++) {
    // 0: PGE off; 1: PGE on, the pages are not global; 2: a global page in both that is the same
    set_cr4((get_cr4() & ~0x80ull) | (global ? 0x80 : 0));
    test_pt[60] = FRAME(60) | P;
    table[60] = FRAME(61) | P;
    test_pt[62] = FRAME(62) | P | (global == 2 ? G : 0);
    table[62] = FRAME(global == 2 ? 62 : 63) | P | (global == 2 ? G : 0);
    flush();
    u64 want = 0;
    for (u32 i = 0; i < 40; i++) want = want * 3 + (i & 1 ? 2 : 1) + (i & 1 && global != 2 ? 20 : 10);
    begin(global == 0 ? "cr3.two spaces" : global == 1 ? "cr3.two spaces, PGE" : "cr3.two spaces, a global page");
    kernel(spaces)->r[RBX] = PAGE(60);
    ctx.r[RSI] = PAGE(62);
    ctx.r[RDI] = get_cr3();
    ctx.r[R8] = get_cr3();
    ctx.r[R9] = FRAME(70);
    go();
    eq("vector", cap.vector, DONE);
    eq("rdx", cap.r[RDX], want);
    end();
  }
  begin("cr3.PGE off drops global pages");
  *(volatile u64 *)&test_pt[62] = FRAME(63) | P | G;
  flush();
  kernel(load8)->r[RBX] = PAGE(62);
  go();
  eq("rax", cap.r[RAX], 20);
  set_cr4(get_cr4() & ~0x80ull);
  end();
}

void kernel_main(void) {
  init64();
  *(volatile u64 *)LOW(0x808000) = 0xbbbb; // where the 2 MiB page of "change" leads
  matrix();
  reservedBits();
  accessedDirty();
  sizes();
  changes();
  selfModifying();
  spaces2();
  {
    u64 cr4 = get_cr4();
    map(8, FRAME(8) | P | W | US);
    *(volatile u64 *)LOW(FRAME(8)) = 0x1234;
    set_cr4(cr4 | 1 << 21);
    begin("smap.stac opens, clac closes");
    kernel(smap)->r[RBX] = PAGE(8);
    go();
    fault(PF, P, (uptr)smap_at);
    eq("rax", cap.r[RAX], 0x1234);
    eq("AC", cap.rflags & AC, 0);
    end();
    begin("smap.entry leaves AC");
    kernel(smapUser);
    go();
    done(smapUser_end);
    eq("AC", cap.rflags & AC, AC);
    end();
    set_cr4(cr4);
    user(smapUser);
    faults("smap.stac at privilege 3", UD, 0, USER(smapUser));
  }
  finish();
}
