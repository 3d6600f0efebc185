/* Segments in 64-bit mode: loads, far transfers, call gates, IRET, SYSCALL and SYSENTER, and what LAR and its kin say. */
#include "lib64.h"

#define NONCANONICAL 0x0000800000000000ull
enum { A1 = FREE, A2 = FREE + 8, A3 = FREE + 16, A4 = FREE + 24, A5 = FREE + 32 };
static void set(u32 selector, u64 d) { *(volatile u64 *)&gdt[selector >> 3] = d; }

// ---- loads ----

ONE(movDs, "movw %ax, %ds");
ONE(movEs, "movw %ax, %es");
ONE(movFs, "movw %ax, %fs");
ONE(movGs, "movw %ax, %gs");
ONE(movSs, "movw %ax, %ss");
ONE(popFs, "popq %fs");
ONE(lgs, "lgs (%rbx), %eax");

#define DATA0 0x00cf92000000ffffull /* writable, dpl 0, not accessed */
#define DATA3 0x00cff2000000ffffull
#define READONLY3 0x00cff0000000ffffull
#define DOWN0 0x00cf96000000ffffull
#define CODE3 0x00aff8000000ffffull /* execute only */
#define CODER3 0x00affa000000ffffull
#define CODER0 0x00af9a000000ffffull
#define CONFORMING0 0x00af9e000000ffffull
#define ABSENT(d) ((d) & ~(1ull << 47))

static void loads(void) {
  struct row { const char *name; u8 cpl, ss; u16 selector; u64 d; u32 vector; };
  // vector 0: the load works
  static const struct row rows[] = {
    { "load.null", 3, 0, 0, 0, 0 }, { "load.null, rpl 3", 3, 0, 3, 0, 0 }, { "load.null kernel", 0, 0, 2, 0, 0 },
    { "load.data dpl 3", 3, 0, A1 | 3, DATA3, 0 }, { "load.data dpl 3, rpl 0", 3, 0, A1, DATA3, 0 }, { "load.data dpl 3 kernel", 0, 0, A1 | 3, DATA3, 0 },
    { "load.data dpl 0 user", 3, 0, A1 | 3, DATA0, GP }, { "load.data dpl 0 rpl 3", 0, 0, A1 | 3, DATA0, GP }, { "load.data dpl 0", 0, 0, A1, DATA0, 0 },
    { "load.read-only", 3, 0, A1 | 3, READONLY3, 0 }, { "load.execute-only", 3, 0, A1 | 3, CODE3, GP }, { "load.readable code", 3, 0, A1 | 3, CODER3, 0 },
    { "load.readable code dpl 0 user", 3, 0, A1 | 3, CODER0, GP }, { "load.conforming code dpl 0 user", 3, 0, A1 | 3, CONFORMING0, 0 },
    { "load.absent", 3, 0, A1 | 3, ABSENT(DATA3), NP }, { "load.absent after privilege", 3, 0, A1 | 3, ABSENT(DATA0), GP },
    { "load.system", 0, 0, TSS_SEL, 0, GP }, { "load.beyond", 0, 0, 0x200, 0, GP }, { "load.beyond, ldt", 3, 0, 0x47, 0, GP },
    { "ss.same", 0, 1, A1, DATA0, 0 }, { "ss.user", 3, 1, A1 | 3, DATA3, 0 }, { "ss.dpl 3 in kernel", 0, 1, A1, DATA3, GP }, { "ss.rpl 3 in kernel", 0, 1, A1 | 3, DATA3, GP },
    { "ss.rpl 0 in user", 3, 1, A1, DATA3, GP }, { "ss.dpl 0 in user", 3, 1, A1 | 3, DATA0, GP }, { "ss.read-only", 3, 1, A1 | 3, READONLY3, GP },
    { "ss.code", 0, 1, A1, CODER0, GP }, { "ss.absent", 0, 1, A1, ABSENT(DATA0), SS }, { "ss.expand-down", 0, 1, A1, DOWN0, 0 },
    { "ss.null in kernel", 0, 1, 0, 0, 0 }, { "ss.null in user", 3, 1, 3, 0, GP }, { "ss.null with another rpl", 0, 1, 3, 0, GP }, { "ss.system", 0, 1, LDT_SEL, 0, GP },
  };
  static u8 *const code[] = { movDs, movEs, movFs, movGs };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    begin(t->name);
    for (u32 j = 0; j < (t->ss ? 1 : 4); j++) {
      if (t->d) set(A1, t->d);
      u8 *c = t->ss ? movSs : code[j];
      if (t->cpl) user(c);
      else kernel(c);
      u64 ds = ctx.ds;
      ctx.r[RAX] = t->selector;
      ctx.fs = ctx.gs = 0;
      go();
      u64 got = t->ss ? (t->cpl ? cap.ss : cap.ss) : j == 0 ? cap.ds : j == 1 ? cap.es : j == 2 ? cap.fs : cap.gs;
      if (t->vector) {
        u32 error = (t->selector & 0xfffc) ? t->selector & 0xfffc : 0;
        fault(t->vector, error, t->cpl ? USER(c) : (uptr)c);
        if (!t->ss) eq("unchanged", got, j < 2 ? ds : 0);
        if (t->d) eq("descriptor", gdt[A1 >> 3], t->d);
      } else {
        eq("vector", cap.vector, DONE);
        eq("selector", got, t->selector);
        if (t->d) eq("accessed", gdt[A1 >> 3], t->d | 1ull << 40);
      }
    }
    if (t->ss && t->selector == 3 && t->cpl == 0) tcg("TCG looks at no RPL of a null SS: SDM vol. 2B MOV");
    end();
  }
  begin("load.from the ldt");
  ldt[1] = DATA3;
  user(movFs)->r[RAX] = 0xf;
  go();
  eq("vector", cap.vector, DONE);
  eq("fs", cap.fs, 0xf);
  eq("accessed", ldt[1], DATA3 | 1ull << 40);
  end();
  begin("load.no ldt");
  asm volatile("lldt %w0" ::"r"(0));
  user(movFs)->r[RAX] = 0xf;
  go();
  fault(GP, 0xc, USER(movFs));
  asm volatile("lldt %w0" ::"r"(LDT_SEL));
  end();
  begin("pop fs: a bad selector leaves rsp");
  set(A1, ABSENT(DATA3));
  user(popFs);
  *(volatile u64 *)(TOP(ustack)) = A1 | 3;
  go();
  fault(NP, A1, USER(popFs));
  end();
  begin("lgs: a bad selector leaves the register");
  static struct { u32 offset; u16 selector; } __attribute__((packed)) far = { 0x1234, A1 | 3 };
  user(lgs)->r[RBX] = USER(&far);
  go();
  fault(NP, A1, USER(lgs));
  eq("rax", cap.r[RAX], 0);
  end();
  begin("lgs: works");
  set(A1, DATA3);
  user(lgs)->r[RBX] = USER(&far);
  go();
  eq("vector", cap.vector, DONE);
  eq("rax", cap.r[RAX], 0x1234);
  eq("gs", cap.gs, A1 | 3);
  end();
}

// ---- bases ----

SNIP(fsBase, "movw %ax, %fs\n movq %fs:(%rbx), %rcx");
SNIP(fsWr, "movl $0xc0000100, %ecx\n wrmsr\n movq %fs:(%rbx), %rcx");
SNIP(gsSwap, "movq %gs:(%rbx), %rsi\n swapgs\n movq %gs:(%rbx), %rdi\n swapgs\n movq %gs:(%rbx), %r8");
ONE(swapgs, "swapgs");
static u64 words[8] = { 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17 };
static void bases(void) {
  set(A1, descriptor((uptr)words, 0xf, 0xf3, 0));
  begin("base.fs from its descriptor, no limit");
  user(fsBase)->r[RAX] = A1 | 3;
  set(A1, descriptor((u32)USER(words), 0xf, 0xf3, 0));
  ctx.r[RBX] = 24;
  go();
  eq("rcx", cap.r[RCX], 0x13);
  end();
  begin("base.ds is ignored");
  kernel(movDs)->r[RAX] = A1;
  go();
  eq("vector", cap.vector, DONE);
  end();
  begin("base.fs msr of 64 bits");
  kernel(fsWr)->r[RAX] = 0x10000;
  ctx.r[RDX] = 0xffffffff;
  ctx.r[RBX] = (uptr)words - 0xffffffff00010000ull;
  go();
  eq("vector", cap.vector, DONE);
  eq("rcx", cap.r[RCX], 0x10);
  end();
  begin("base.null clears fs");
  wrmsr(0xc0000100, (uptr)words);
  kernel(movFs);
  go();
  eq("fs base", rdmsr(0xc0000100), 0);
  end();
  begin("swapgs");
  kernel(gsSwap);
  wrmsr(0xc0000101, (uptr)words);
  wrmsr(0xc0000102, (uptr)words + 8);
  go();
  eq("gs", cap.r[RSI], 0x10);
  eq("kernel gs", cap.r[RDI], 0x11);
  eq("again", cap.r[R8], 0x10);
  end();
  user(swapgs);
  faults("swapgs.user", GP, 0, USER(swapgs));
}

// ---- far transfers ----

ONE(jmpFar, "rex.w ljmp *(%rbx)");
ONE(callFar, "rex.w lcall *(%rbx)");
ONE(jmpFar32, "ljmp *(%rbx)");
SNIP(land, "nop\n int $0x81");
SNIP(retFar, "pushq %rax\n pushq %rcx\n retFar_at: lretq");
SNIP(retFarOut, "pushq %rsi\n pushq %rdi\n pushq $0x77\n pushq %rax\n pushq %rcx\n retFarOut_at: lretq $8");
static struct { u64 offset; u16 selector; } __attribute__((packed)) pointer;
static void farPointer(u64 offset, u32 selector) {
  pointer.offset = offset;
  pointer.selector = selector;
}
static void callGate(u32 selector, u32 target, u64 offset, u32 access) {
  set(selector, (offset & 0xffff) | (u64)target << 16 | (u64)access << 40 | (offset >> 16 & 0xffff) << 48);
  set(selector + 8, offset >> 32);
}
static void farTransfers(void) {
  struct row { const char *name; u16 selector; u64 d; u8 user; u32 vector; u16 cs; };
  static const struct row rows[] = {
    { "far.same privilege", A1, CODER0, 0, 0, A1 }, { "far.rpl below cpl is fine", A1, CODER3, 3, 0, A1 | 3 }, { "far.user", A1 | 3, CODER3, 3, 0, A1 | 3 },
    { "far.execute-only", A1 | 3, CODE3, 3, 0, A1 | 3 }, { "far.rpl above cpl", A1 | 3, CODER0, 0, GP, 0 }, { "far.dpl 3 from kernel", A1, CODER3, 0, GP, 0 },
    { "far.dpl 0 from user", A1, CODER0, 3, GP, 0 }, { "far.conforming dpl 0 from user", A1 | 3, CONFORMING0, 3, 0, A1 | 3 },
    { "far.conforming dpl 3 from kernel", A1, 0x00affe000000ffff, 0, GP, 0 }, { "far.absent", A1, ABSENT(CODER0), 0, NP, 0 }, { "far.data", A1, DATA0, 0, GP, 0 },
    { "far.null", 0, 0, 0, GP, 0 }, { "far.beyond", 0x200, 0, 0, GP, 0 }, { "far.L and D", A1, CODER0 | 1ull << 54, 0, GP, 0 },
    { "far.ldt descriptor", LDT_SEL, 0, 0, GP, 0 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    for (int call = 0; call < 2; call++) {
      if (t->d) set(A1, t->d);
      u8 *code = call ? callFar : jmpFar;
      if (t->user) user(code);
      else kernel(code);
      farPointer(t->user ? USER(land) : (uptr)land, t->selector);
      ctx.r[RBX] = t->user ? USER(&pointer) : (uptr)&pointer;
      begin(call ? "  call" : t->name);
      go();
      if (t->vector) fault(t->vector, t->selector & 0xfffc, t->user ? USER(code) : (uptr)code);
      else {
        eq("vector", cap.vector, DONE);
        eq("rip", cap.rip, pointer.offset + 3);
        eq("cs", cap.cs, t->cs);
        eq("rsp", cap.rsp, ctx.r[RSP] - (call ? 16 : 0));
        if (call) {
          eq("pushed rip", *(u64 *)(TOP(kstack) - 16 + (t->user ? (u64)((uptr)ustack + sizeof ustack) - ((uptr)kstack + sizeof kstack) : 0)), ctx.rip + 3);
          eq("pushed cs", *(u64 *)(TOP(kstack) - 8 + (t->user ? (u64)((uptr)ustack + sizeof ustack) - ((uptr)kstack + sizeof kstack) : 0)), ctx.cs);
        }
        eq("accessed", gdt[A1 >> 3], t->d | 1ull << 40);
      }
      tcg("TCG leaves A of the target, and lets L and D through: SDM vol. 3A 3.4.5.1, vol. 2A JMP");
      end();
    }
  }
  set(A1, CODER0);
  begin("far.noncanonical");
  kernel(jmpFar)->r[RBX] = (uptr)&pointer;
  farPointer(NONCANONICAL, A1);
  go();
  fault(GP, 0, (uptr)jmpFar);
  tcg("TCG checks no canonical targets: SDM vol. 2A JMP");
  end();
  begin("far.call with no stack");
  map(8, 0);
  kernel(callFar)->r[RBX] = (uptr)&pointer;
  farPointer((uptr)land, A1);
  ctx.r[RSP] = PAGE(8) + 64;
  idt[PF * 2] |= 1ull << 32;
  go();
  fault(PF, W, (uptr)callFar);
  resetGate(PF);
  end();
  begin("far.jmp m16:32");
  static struct { u32 offset; u16 selector; } __attribute__((packed)) p32;
  p32.offset = (u32)(uptr)land;
  p32.selector = A1;
  kernel(jmpFar32)->r[RBX] = (uptr)&p32;
  go();
  eq("rip", cap.rip, (uptr)land + 3);
  eq("cs", cap.cs, A1);
  end();

  // call gates
  struct gateRow { const char *name; u16 selector; u32 access; u16 target; u64 d; u8 user; u32 vector, error; u16 cs; u8 jmpFails; };
  static const struct gateRow gates[] = {
    { "call gate.to kernel", A2 | 3, 0xec, CS64, CODER0, 3, 0, 0, CS64, 1 },
    { "call gate.same privilege", A2, 0x8c, A1, CODER0, 0, 0, 0, A1, 0 },
    { "call gate.user to user", A2 | 3, 0xec, A1, CODER3, 3, 0, 0, A1 | 3, 0 },
    { "call gate.conforming", A2 | 3, 0xec, A1, CONFORMING0, 3, 0, 0, A1 | 3, 0 },
    { "call gate.dpl", A2, 0x8c, CS64, CODER0, 3, GP, A2, 0, 0 }, { "call gate.rpl", A2 | 3, 0x8c, CS64, CODER0, 0, GP, A2, 0, 0 },
    { "call gate.absent", A2 | 3, 0x6c, CS64, CODER0, 3, NP, A2, 0, 0 }, { "call gate.null target", A2 | 3, 0xec, 0, 0, 3, GP, 0, 0, 0 },
    { "call gate.data target", A2 | 3, 0xec, A1, DATA0, 3, GP, A1, 0, 0 }, { "call gate.32-bit target", A2 | 3, 0xec, A1, 0x00cf9a000000ffff, 3, GP, A1, 0, 0 },
    { "call gate.absent target", A2 | 3, 0xec, A1, ABSENT(CODER0), 3, NP, A1, 0, 0 }, { "call gate.target dpl above cpl", A2, 0x8c, A1, CODER3, 0, GP, A1, 0, 0 },
    { "call gate.target beyond", A2 | 3, 0xec, 0x200, 0, 3, GP, 0x200, 0, 0 },
  };
  for (u32 i = 0; i < sizeof gates / sizeof *gates; i++) {
    const struct gateRow *t = &gates[i];
    for (int call = 1; call >= 0; call--) {
      u8 *code = call ? callFar : jmpFar;
      if (t->d && t->target != CS64) set(A1, t->d);
      if (t->user) user(code);
      else kernel(code);
      int outer = (t->cs & 3) == 3;
      callGate(A2, t->target, outer ? USER(land) : (uptr)land, t->access);
      farPointer(0xdead, t->selector);
      ctx.r[RBX] = t->user ? USER(&pointer) : (uptr)&pointer;
      begin(call ? t->name : "  jmp");
      go();
      if (!call && t->jmpFails) fault(GP, t->target, USER(code));
      else if (t->vector) fault(t->vector, t->error, t->user ? USER(code) : (uptr)code);
      else {
        eq("vector", cap.vector, DONE);
        eq("rip", cap.rip, (outer ? USER(land) : (uptr)land) + 3);
        eq("cs", cap.cs, t->cs);
        if (t->user && !outer) {
          eq("rsp", cap.rsp, TOP(rsp0stack) - 32);
          eq("ss", cap.ss, 0);
          u64 *f = (u64 *)(TOP(rsp0stack) - 32);
          eq("pushed rip", f[0], USER(callFar_next));
          eq("pushed cs", f[1], UCS64);
          eq("pushed rsp", f[2], ctx.r[RSP]);
          eq("pushed ss", f[3], UDS);
        } else eq("rsp", cap.rsp, ctx.r[RSP] - (call ? 16 : 0));
        if (t->target != CS64) {
          eq("accessed", gdt[A1 >> 3], t->d | 1ull << 40);
        }
      }
      tcg("TCG leaves A of the target and RPL of a conforming CS, and looks at P after the target: SDM vol. 3A 3.4.5.1, vol. 2A CALL, JMP");
      end();
    }
  }
  begin("call gate.second half has a type");
  callGate(A2, CS64, (uptr)land, 0xec);
  set(A3, 0x00000c0000000000);
  user(callFar)->r[RBX] = USER(&pointer);
  farPointer(0, A2 | 3);
  go();
  fault(GP, A2, USER(callFar));
  end();
  begin("call gate.second half beyond the table");
  loadGdt(A3 - 1);
  user(callFar)->r[RBX] = USER(&pointer);
  go();
  fault(GP, A2, USER(callFar));
  loadGdt(sizeof gdt - 1);
  tcg("TCG looks at the first half only: SDM vol. 2A CALL");
  end();
  begin("call gate.no inner stack");
  callGate(A2, CS64, (uptr)land, 0xec);
  map(8, 0);
  tss.rsp[0] = PAGE(8) + 64;
  idt[PF * 2] |= 1ull << 32;
  user(callFar)->r[RBX] = USER(&pointer);
  go();
  fault(PF, W, USER(callFar));
  tss.rsp[0] = NONCANONICAL + 64;
  idt[SS * 2] |= 1ull << 32;
  user(callFar)->r[RBX] = USER(&pointer);
  go();
  fault(SS, 0, USER(callFar));
  tcg("TCG raises #GP: SDM vol. 2A CALL");
  tss.rsp[0] = TOP(rsp0stack);
  resetGate(PF);
  resetGate(SS);
  end();

  // RETF
  struct retRow { const char *name; u16 selector; u64 d; u8 user; u32 vector; };
  static const struct retRow rets[] = {
    { "retf.same", A1, CODER0, 0, 0 }, { "retf.user", A1 | 3, CODER3, 3, 0 }, { "retf.inward", A1, CODER0, 3, GP }, { "retf.null", 0, 0, 0, GP },
    { "retf.absent", A1, ABSENT(CODER0), 0, NP }, { "retf.data", A1, DATA0, 0, GP }, { "retf.dpl 3 rpl 0", A1, CODER3, 0, GP }, { "retf.conforming", A1 | 3, CONFORMING0, 3, 0 },
    { "retf.beyond", 0x200, 0, 0, GP },
  };
  for (u32 i = 0; i < sizeof rets / sizeof *rets; i++) {
    const struct retRow *t = &rets[i];
    if (t->d) set(A1, t->d);
    if (t->user) user(retFar);
    else kernel(retFar);
    ctx.r[RAX] = t->selector;
    ctx.r[RCX] = t->user ? USER(land) : (uptr)land;
    begin(t->name);
    go();
    if (t->vector) {
      wantRsp -= 16;
      fault(t->vector, t->selector & 0xfffc, t->user ? USER(retFar_at) : (uptr)retFar_at);
    } else {
      eq("vector", cap.vector, DONE);
      eq("cs", cap.cs, t->selector);
      eq("rsp", cap.rsp, ctx.r[RSP]);
    }
    end();
  }
  struct outRow { const char *name; u16 cs, ss; u64 d; u32 vector; u16 error; };
  static const struct outRow outs[] = {
    { "retf outer.works", UCS64, UDS, 0, 0, 0 }, { "retf outer.ss null", UCS64, 0, 0, GP, 0 }, { "retf outer.ss rpl", UCS64, UDS & ~3, 0, GP, UDS & ~3 },
    { "retf outer.ss dpl", UCS64, A1 | 3, DATA0, GP, A1 }, { "retf outer.ss read-only", UCS64, A1 | 3, READONLY3, GP, A1 },
    { "retf outer.ss absent", UCS64, A1 | 3, ABSENT(DATA3), SS, A1 },
  };
  for (u32 i = 0; i < sizeof outs / sizeof *outs; i++) {
    const struct outRow *t = &outs[i];
    if (t->d) set(A1, t->d);
    kernel(retFarOut)->r[RAX] = t->cs;
    ctx.r[RCX] = USER(land);
    ctx.r[RSI] = t->ss;
    ctx.r[RDI] = USER(TOP(ustack));
    ctx.es = UDS;
    begin(t->name);
    go();
    if (t->vector) {
      wantRsp -= 40;
      fault(t->vector, t->error, (uptr)retFarOut_at);
    } else {
      eq("vector", cap.vector, DONE);
      eq("cs", cap.cs, t->cs);
      eq("ss", cap.ss, t->ss);
      eq("rsp", cap.rsp, USER(TOP(ustack)) + 8);
      eq("ds is emptied", cap.ds, 0);
      eq("es stays", cap.es, UDS);
    }
    if (t->vector == SS) tcg("TCG raises #NP for an absent SS: SDM vol. 2B RET");
    end();
  }
}

// ---- IRET ----

SNIP(iret, "pushq %r8\n pushq %r9\n pushq %r10\n pushq %r11\n pushq %r12\n iret_at: iretq");
SNIP(iret32, "subl $20, %esp\n movl %r12d, (%rsp)\n movl %r11d, 4(%rsp)\n movl %r10d, 8(%rsp)\n movl %r9d, 12(%rsp)\n movl %r8d, 16(%rsp)\n iret32_at: iretl");
static void irets(void) {
  struct row { const char *name; u8 cpl; u16 cs, ss; u64 d; u64 flags; u32 vector; u16 error; };
  static const struct row rows[] = {
    { "iret.same", 0, CS64, DS0, 0, 2, 0, 0 }, { "iret.to user", 0, UCS64, UDS, 0, 2, 0, 0 }, { "iret.user to user", 3, UCS64, UDS, 0, 2, 0, 0 },
    { "iret.same, ss null", 0, CS64, 0, 0, 2, 0, 0 }, { "iret.to user, ss null", 0, UCS64, 0, 0, 2, GP, 0 }, { "iret.to user, ss null rpl 3", 0, UCS64, 3, 0, 2, GP, 0 },
    { "iret.inward", 3, CS64, DS0, 0, 2, GP, CS64 }, { "iret.cs null", 0, 0, DS0, 0, 2, GP, 0 }, { "iret.cs data", 0, DS0, DS0, 0, 2, GP, DS0 },
    { "iret.cs beyond", 0, 0x200, DS0, 0, 2, GP, 0x200 }, { "iret.cs dpl 0 rpl 3", 0, CS64 | 3, UDS, 0, 2, GP, CS64 }, { "iret.cs dpl 3 rpl 0", 0, UCS64 & ~3, DS0, 0, 2, GP, UCS64 & ~3 },
    { "iret.cs absent", 0, A1 | 3, UDS, ABSENT(CODER3), 2, NP, A1 }, { "iret.cs L and D", 0, A1 | 3, UDS, CODER3 | 1ull << 54, 2, GP, A1 },
    { "iret.ss dpl", 0, UCS64, DS0 | 3, 0, 2, GP, DS0 }, { "iret.ss rpl", 0, UCS64, UDS & ~3, 0, 2, GP, UDS & ~3 }, { "iret.ss read-only", 0, UCS64, A1 | 3, READONLY3, 2, GP, A1 },
    { "iret.ss absent", 0, UCS64, A1 | 3, ABSENT(DATA3), 2, SS, A1 }, { "iret.ss beyond", 0, UCS64, 0x203, 0, 2, GP, 0x200 }, { "iret.ss system", 0, UCS64, TSS_SEL | 3, 0, 2, GP, TSS_SEL },
    { "iret.conforming cs", 0, A1 | 3, UDS, CONFORMING0, 2, 0, 0 },
    { "iret.flags from kernel", 0, UCS64, UDS, 0, 0x247ad7, 0, 0 }, { "iret.flags from user", 3, UCS64, UDS, 0, 0x247ad7, 0, 0 },
    { "iret.VM is ignored", 0, UCS64, UDS, 0, 0x20002, 0, 0 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    for (int narrow = 0; narrow < 2; narrow++) {
      if (t->d) set(A1, t->d);
      u8 *code = narrow ? iret32 : iret, *at = narrow ? iret32_at : iret_at;
      if (t->cpl) user(code);
      else kernel(code);
      ctx.fs = UDS;
      ctx.gs = t->cpl ? UDS : DS0;
      int outer = (t->cs & 3) == 3;
      ctx.r[R8] = t->ss;
      ctx.r[R9] = outer ? USER(TOP(ustack)) - 64 : TOP(kstack) - 512;
      ctx.r[R10] = t->flags;
      ctx.r[R11] = t->cs;
      ctx.r[R12] = outer ? USER(land) : (uptr)land;
      begin(narrow ? "  iretd" : t->name);
      go();
      if (t->vector) {
        wantRsp -= narrow ? 20 : 40;
        fault(t->vector, t->error, t->cpl ? USER(at) : (uptr)at);
        if (t->ss == 3) tcg("TCG takes a null SS at privilege 3: SDM vol. 2A IRET");
      } else {
        eq("vector", cap.vector, DONE);
        eq("rip", cap.rip, ctx.r[R12] + 3);
        eq("cs", cap.cs, t->cs);
        eq("ss", cap.ss, t->ss);
        eq("rsp", cap.rsp, ctx.r[R9]);
        u64 flags = (t->flags & ~0x20000ull);
        if (t->cpl) flags &= ~0x3200ull;
        eq("flags", cap.rflags & ~(u64)(narrow ? 0 : 0), flags);
        eq("ds", cap.ds, outer && !t->cpl ? 0 : ctx.ds);
        eq("fs", cap.fs, UDS);
        eq("gs", cap.gs, outer && !t->cpl ? 0 : ctx.gs);
      }
      if (t->vector == SS) tcg("TCG raises #NP for an absent SS: SDM vol. 2A IRET");
      if (t->d & 1ull << 54 && t->cs == (A1 | 3)) tcg("TCG lets L and D through: SDM vol. 2A IRET");
      if (narrow && t->flags == 0x20002) tcg("TCG goes to virtual-8086 mode even in long mode: SDM vol. 2A IRET");
      end();
    }
  }
  begin("iret.NT in long mode");
  kernel(iret)->rflags = FLAGS0 | NT;
  ctx.r[R8] = DS0;
  ctx.r[R9] = TOP(kstack);
  ctx.r[R10] = 2;
  ctx.r[R11] = CS64;
  ctx.r[R12] = (uptr)land;
  // run() itself returns by IRETQ and loads NT.
  go();
  wantRsp -= 40;
  fault(GP, 0, (uptr)iret_at);
  end();
}

// ---- SYSCALL, SYSENTER ----

ONE(syscall, "syscall");
SNIP(sysland, "int $0x81");
ONE(sysret64, "sysretq");
ONE(sysret32, "sysretl");
ONE(sysenter, "sysenter");
ONE(sysexit64, "sysexitq");
ONE(sysexit32, "sysexitl");
SNIP32(land32, "nop");
static void fast(void) {
  wrmsr(0xc0000081, (u64)(UCS32) << 48 | (u64)CS64 << 32);
  wrmsr(0xc0000082, (uptr)sysland);
  wrmsr(0xc0000084, 0x47700 & ~0x200);
  for (int u = 1; u >= 0; u--) {
    begin(u ? "syscall.user" : "syscall.kernel");
    if (u) user(syscall);
    else kernel(syscall);
    ctx.rflags = 0x244ed7; // ID AC NT OF DF IF TF-less arithmetic
    ctx.rflags &= ~0x100ull;
    go();
    eq("vector", cap.vector, DONE);
    eq("rip", cap.rip, (uptr)sysland + 2);
    eq("cs", cap.cs, CS64);
    eq("ss", cap.ss, DS0);
    eq("rsp", cap.rsp, ctx.r[RSP]);
    eq("rcx", cap.r[RCX], ctx.rip + 2);
    eq("r11", cap.r[R11], ctx.rflags);
    eq("flags", cap.rflags, ctx.rflags & ~0x47500ull);
    tcg("TCG clears the arithmetic flags: SDM vol. 2B SYSCALL");
    end();
  }
  begin("sysret.64");
  kernel(sysret64)->r[RCX] = USER(land);
  ctx.r[R11] = 0x247ed7 & ~0x4000;
  go();
  eq("vector", cap.vector, DONE);
  eq("rip", cap.rip, USER(land) + 3);
  eq("cs", cap.cs, UCS64);
  eq("ss", cap.ss, UDS);
  eq("rsp", cap.rsp, ctx.r[RSP]);
  eq("flags", cap.rflags, (0x247ed7 & ~0x4000));
  end();
  begin("sysret.32");
  kernel(sysret32)->r[RCX] = USER(land32) | 0xabcd00000000;
  ctx.r[R11] = 2;
  ctx.r[RSP] = TOP(kstack);
  go();
  eq("vector", cap.vector, DONE);
  eq("rip", cap.rip, USER(land32) + 3);
  eq("cs", cap.cs, UCS32);
  eq("ss", cap.ss, UDS);
  end();
  begin("sysret.RF and VM are not loaded");
  kernel(sysret64)->r[RCX] = USER(land);
  ctx.r[R11] = 0x30002;
  go();
  eq("vector", cap.vector, DONE);
  eq("flags", cap.rflags, 2);
  tcg("TCG loads VM: SDM vol. 2B SYSRET");
  end();
  begin("sysret.noncanonical");
  kernel(sysret64)->r[RCX] = NONCANONICAL;
  ctx.r[R11] = 2;
  go();
  fault(GP, 0, (uptr)sysret64);
  tcg("TCG checks no canonical targets: SDM vol. 2B SYSRET");
  end();
  user(sysret64);
  faults("sysret.user", GP, 0, USER(sysret64));
  u64 efer = rdmsr(0xc0000080);
  wrmsr(0xc0000080, efer & ~1ull);
  user(syscall);
  faults("syscall.SCE off", UD, 0, USER(syscall));
  kernel(sysret64);
  faults("sysret.SCE off", UD, 0, (uptr)sysret64);
  wrmsr(0xc0000080, efer);

  const char *amd = "QEMU's processor is an AMD, without SYSENTER in long mode: SDM vol. 2B SYSENTER";
  wrmsr(0x174, CS64);
  wrmsr(0x175, TOP(kstack));
  wrmsr(0x176, (uptr)sysland);
  begin("sysenter.user");
  user(sysenter)->rflags = FLAGS0 | IF | 0x400 | CF;
  go();
  eq("vector", cap.vector, DONE);
  eq("rip", cap.rip, (uptr)sysland + 2);
  eq("cs", cap.cs, CS64);
  eq("ss", cap.ss, DS0);
  eq("rsp", cap.rsp, TOP(kstack));
  eq("flags", cap.rflags, FLAGS0 | 0x400 | CF);
  tcg(amd);
  end();
  // SYSEXIT's selectors follow from SYSENTER_CS: 0x18 and 0x20 for 32 bits, 0x28 and 0x30 for 64.
  begin("sysexit.64");
  kernel(sysexit64)->r[RDX] = USER(land);
  ctx.r[RCX] = USER(TOP(ustack));
  go();
  eq("vector", cap.vector, DONE);
  eq("rip", cap.rip, USER(land) + 3);
  eq("cs", cap.cs, 0x2b);
  eq("ss", cap.ss, 0x33);
  eq("rsp", cap.rsp, USER(TOP(ustack)));
  tcg(amd);
  end();
  begin("sysexit.32");
  kernel(sysexit32)->r[RDX] = USER(land32);
  ctx.r[RCX] = USER(TOP(ustack));
  go();
  eq("vector", cap.vector, DONE);
  eq("rip", cap.rip, USER(land32) + 3);
  eq("cs", cap.cs, 0x1b);
  eq("ss", cap.ss, 0x23);
  tcg(amd);
  end();
  begin("sysexit.user");
  user(sysexit64);
  go();
  fault(GP, 0, USER(sysexit64));
  tcg(amd);
  end();
  begin("sysexit.noncanonical");
  kernel(sysexit64)->r[RDX] = NONCANONICAL;
  go();
  fault(GP, 0, (uptr)sysexit64);
  tcg(amd);
  end();
  wrmsr(0x174, 0);
  begin("sysenter.no cs");
  user(sysenter);
  go();
  fault(GP, 0, USER(sysenter));
  tcg(amd);
  end();
}

// ---- LAR, LSL, VERR, VERW, LLDT, LTR and the stores ----

SNIP(lar, "larl %eax, %ebx\n setz %cl\n lsll %eax, %esi\n setz %ch\n verr %ax\n setz %dl\n verw %ax\n setz %dh");
ONE(lldt, "lldt %ax");
ONE(ltr, "ltr %ax");
SNIP(stores, "str %rbx\n sldt %rcx\n sgdt (%rdi)\n sidt 16(%rdi)\n smsw %rdx");
static void inspections(void) {
  struct row { const char *name; u16 selector; u64 d; u8 cpl; u8 lar, lsl, verr, verw; u32 limit; };
  static const struct row rows[] = {
    { "lar.data", A1 | 3, DATA3, 3, 1, 1, 1, 1, 0xffffffff }, { "lar.read-only", A1 | 3, READONLY3, 3, 1, 1, 1, 0, 0xffffffff },
    { "lar.code", A1 | 3, CODER3, 3, 1, 1, 1, 0, 0xffffffff }, { "lar.execute-only", A1 | 3, CODE3, 3, 1, 1, 0, 0, 0xffffffff },
    { "lar.dpl 0 user", A1, DATA0, 3, 0, 0, 0, 0, 0 }, { "lar.dpl 0 rpl 3", A1 | 3, DATA0, 0, 0, 0, 0, 0, 0 }, { "lar.conforming", A1 | 3, CONFORMING0, 3, 1, 1, 1, 0, 0xffffffff },
    { "lar.null", 3, 0, 0, 0, 0, 0, 0, 0 }, { "lar.beyond", 0x200, 0, 0, 0, 0, 0, 0, 0 }, { "lar.absent is visible", A1, ABSENT(DATA0), 0, 1, 1, 1, 1, 0xffffffff },
    { "lar.tss", TSS_SEL, 0, 0, 1, 1, 0, 0, 143 }, { "lar.tss user", TSS_SEL, 0, 3, 0, 0, 0, 0, 0 }, { "lar.ldt", LDT_SEL, 0, 0, 1, 1, 0, 0, 63 },
    { "lar.byte limit", A1, 0x0041920000001234, 0, 1, 1, 1, 1, 0x11234 }, { "lar.call gate", A1, 0x00008c0000080000, 0, 1, 0, 0, 0, 0 },
    { "lar.interrupt gate", A1, 0x00008e0000080000, 0, 0, 0, 0, 0, 0 }, { "lar.trap gate", A1, 0x00008f0000080000, 0, 0, 0, 0, 0, 0 },
    { "lar.task gate", A1, 0x0000850000080000, 0, 0, 0, 0, 0, 0 }, { "lar.16-bit tss", A1, 0x0000810000000067, 0, 0, 0, 0, 0, 0 },
    { "lar.16-bit call gate", A1, 0x0000840000080000, 0, 0, 0, 0, 0, 0 }, { "lar.type 0", A1, 0x0000800000000000, 0, 0, 0, 0, 0, 0 },
    { "lar.available tss", A1, 0x0000890000000067, 0, 1, 1, 0, 0, 0x67 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    if (t->d) set(A1, t->d);
    set(A2, 0);
    if (t->cpl) user(lar);
    else kernel(lar);
    ctx.r[RAX] = t->selector;
    ctx.r[RBX] = ctx.r[RSI] = 0x5555;
    begin(t->name);
    go();
    eq("vector", cap.vector, DONE);
    eq("lar", cap.r[RCX] & 0xff, t->lar);
    eq("lsl", cap.r[RCX] >> 8 & 0xff, t->lsl);
    eq("verr", cap.r[RDX] & 0xff, t->verr);
    eq("verw", cap.r[RDX] >> 8 & 0xff, t->verw);
    eq("rights", cap.r[RBX] & 0xf0ffff, t->lar ? gdt[t->selector >> 3] >> 32 & 0xf0ff00 : 0x5555);
    eq("limit", cap.r[RSI], t->lsl ? t->limit : 0x5555);
    if (t->d) eq("descriptor", gdt[A1 >> 3], t->d);
    if (t->d == 0x0000850000080000 || t->d == 0x0000810000000067 || t->d == 0x0000840000080000) tcg("TCG shows LAR 16-bit types and task gates in long mode: SDM vol. 2A LAR");
    end();
  }
  struct sysRow { const char *name; u8 *code; u16 selector; u64 d, second; u32 vector; };
  static const struct sysRow sys[] = {
    { "lldt.null", lldt, 0, 0, 0, 0 }, { "lldt.works", lldt, A1, 0x0000820000000067, 0, 0 }, { "lldt.tss", lldt, A1, 0x0000890000000067, 0, GP },
    { "lldt.data", lldt, A1, DATA0, 0, GP }, { "lldt.absent", lldt, A1, 0x0000020000000067, 0, NP }, { "lldt.in an ldt", lldt, A1 | 4, 0x0000820000000067, 0, GP },
    { "lldt.beyond", lldt, 0x200, 0, 0, GP }, { "lldt.noncanonical base", lldt, A1, 0x0000820000000067, 0x8000, GP },
    { "ltr.null", ltr, 0, 0, 0, GP }, { "ltr.busy", ltr, TSS_SEL, 0, 0, GP }, { "ltr.works", ltr, A1, 0x0000890000000067, 0, 0 }, { "ltr.ldt", ltr, A1, 0x0000820000000067, 0, GP },
    { "ltr.absent", ltr, A1, 0x0000090000000067, 0, NP }, { "ltr.16-bit", ltr, A1, 0x0000810000000067, 0, GP }, { "ltr.in an ldt", ltr, 0xc, 0, 0, GP },
    { "ltr.type in the second half", ltr, A1, 0x0000890000000067, 0x0000090000000000, GP }, { "ltr.noncanonical base", ltr, A1, 0x0000890000000067, 0x8000, GP },
  };
  for (u32 i = 0; i < sizeof sys / sizeof *sys; i++) {
    const struct sysRow *t = &sys[i];
    if (t->d) set(A1, t->d);
    set(A2, t->second);
    // A TSS for "ltr.works" that is the real one
    if (t->code == ltr && t->vector == 0) {
      systemDescriptor(A1, (uptr)&tss, sizeof tss - 1, 0x89);
    }
    kernel(t->code)->r[RAX] = t->selector;
    begin(t->name);
    go();
    if (t->vector) {
      fault(t->vector, t->selector & 0xfffc, (uptr)t->code);
      if (t->second == 0x8000) tcg("TCG takes any base: SDM vol. 2A LLDT, LTR");
      if (t->code == ltr) tcg("TCG takes a null selector and a 16-bit TSS: SDM vol. 2A LTR");
    } else {
      eq("vector", cap.vector, DONE);
      u32 now = 0;
      if (t->code == ltr) asm volatile("str %k0" : "=r"(now));
      else asm volatile("sldt %k0" : "=r"(now));
      eq("selector", now & 0xffff, t->selector);
      if (t->code == ltr) eq("busy", gdt[A1 >> 3] >> 40 & 0xf, 11);
    }
    end();
    {
      systemDescriptor(TSS_SEL, (uptr)&tss, sizeof tss - 1, 0x89);
      asm volatile("ltr %w0" ::"r"(TSS_SEL));
      asm volatile("lldt %w0" ::"r"(LDT_SEL));
    }
  }
  begin("ltr.second half beyond the table");
  set(A1, 0x0000890000000067);
  loadGdt(A2 - 1);
  kernel(ltr)->r[RAX] = A1;
  go();
  fault(GP, A1, (uptr)ltr);
  loadGdt(sizeof gdt - 1);
  end();
  user(lldt);
  faults("lldt.user", GP, 0, USER(lldt));
  user(ltr);
  faults("ltr.user", GP, 0, USER(ltr));
  static u8 out[32];
  for (int u = 0; u < 2; u++) {
    begin(u ? "stores.user" : "stores.kernel");
    if (u) user(stores);
    else kernel(stores);
    ctx.r[RBX] = ctx.r[RCX] = ~0ull;
    ctx.r[RDI] = u ? USER(out) : (uptr)out;
    memset8(out, 0x55, sizeof out);
    go();
    eq("vector", cap.vector, DONE);
    eq("tr", cap.r[RBX], TSS_SEL);
    eq("ldtr", cap.r[RCX], LDT_SEL);
    eq("gdt limit", *(u16 *)out, sizeof gdt - 1);
    eq("gdt base", *(u64 *)(out + 2), (uptr)gdt);
    eq("after", out[10], 0x55);
    eq("idt limit", *(u16 *)(out + 16), sizeof idt - 1);
    eq("idt base", *(u64 *)(out + 18), (uptr)idt);
    eq("msw", cap.r[RDX], get_cr0());
    end();
  }
  u64 cr4 = get_cr4();
  set_cr4(cr4 | 0x800);
  user(stores);
  faults("stores.UMIP", GP, 0, USER(stores));
  set_cr4(cr4);
}

void kernel_main(void) {
  init64();
  loads();
  bases();
  farTransfers();
  irets();
  fast();
  inspections();
  finish();
}
