/* External interrupts at instruction boundaries, single steps, breakpoints. */
#include "lib64.h"

#define DR6_FIXED 0xffff0ff0ull

// ---- the timer ----

SNIP(stiNop, "sti\n nop\n stiNop_at: nop\n nop");
SNIP(stiSti, "sti\n sti\n stiSti_at: nop\n nop");
SNIP(stiCli, "sti\n cli\n nop\n nop");
SNIP(stiPushf, "sti\n pushfq\n stiPushf_at: nop");
SNIP(popfIf, "pushq $0x202\n popfq\n popfIf_at: nop\n nop");
SNIP(iretIf, "movq %rsp, %rbx\n pushq $0x10\n pushq %rbx\n pushq $0x202\n pushq $8\n leaq iretIf_at(%rip), %rax\n pushq %rax\n iretq\n nop\n iretIf_at: nop\n nop");
SNIP(cliLoop, "movl $2000, %ecx\n 1: loop 1b");
SNIP(hlt, "hlt\n hlt_at: nop");
SNIP(stiHlt, "sti\n hlt\n stiHlt_at: nop");
SNIP(spin, "spin_at: jmp spin_at");
SNIP(repStos, "repStos_at: rep stosb\n repStos_next: nop");
SNIP(sysretIf, "sysretq");
SNIP(stiJmp, "sti\n jmp stiJmp_at\n nop\n stiJmp_at: nop");
SNIP(userNop, "userNop_at: nop\n nop");

static void timer(const char *name, u64 rip) {
  begin(name);
  pendTimer();
  go();
  trap(TIMER, rip);
  endTimer();
}
static void interrupts(void) {
  static const struct { const char *name; u8 *code, *at; s64 rsp; } rows[] = {
    { "irq.sti holds off one instruction", stiNop, stiNop_at, 0 }, { "irq.sti sti", stiSti, stiSti_at, 0 }, { "irq.popf holds off nothing", popfIf, popfIf_at, 0 },
    { "irq.iret holds off nothing", iretIf, iretIf_at, 0 }, { "irq.sti hlt", stiHlt, stiHlt_at, 0 }, { "irq.sti jmp", stiJmp, stiJmp_at, 0 },
    { "irq.sti pushf", stiPushf, stiPushf_at, -8 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin(rows[i].name);
    kernel(rows[i].code);
    pendTimer();
    go();
    wantRsp += rows[i].rsp;
    trap(TIMER, (uptr)rows[i].at);
    eq("IF", cap.rflags & IF, IF);
    endTimer();
    end();
  }
  begin("irq.sti cli lets nothing in");
  kernel(stiCli);
  pendTimer();
  go();
  done(stiCli_end);
  endTimer();
  end();
  begin("irq.IF off lets nothing in");
  kernel(cliLoop);
  pendTimer();
  go();
  done(cliLoop_end);
  endTimer();
  end();
  begin("irq.at once after run's IRET");
  kernel(userNop)->rflags = FLAGS0 | IF;
  pendTimer();
  go();
  trap(TIMER, (uptr)userNop);
  endTimer();
  end();
  begin("irq.user");
  user(userNop)->rflags = FLAGS0 | IF;
  pendTimer();
  go();
  trap(TIMER, USER(userNop));
  endTimer();
  end();
  begin("irq.sysret");
  wrmsr(0xc0000081, (u64)(UCS32) << 48 | (u64)CS64 << 32);
  kernel(sysretIf)->r[RCX] = USER(userNop);
  ctx.r[R11] = FLAGS0 | IF;
  pendTimer();
  go();
  wantCs = UCS64;
  wantSs = UDS;
  trap(TIMER, USER(userNop));
  endTimer();
  end();
  begin("irq.ends a loop in user code");
  out8(0x20, 0x20);
  armTimer(500);
  out8(0x21, 0xfe);
  user(spin)->rflags = FLAGS0 | IF;
  go();
  trap(TIMER, USER(spin));
  endTimer();
  end();
  begin("irq.ends HLT");
  armTimer(500);
  out8(0x21, 0xfe);
  kernel(hlt)->rflags = FLAGS0 | IF;
  go();
  trap(TIMER, (uptr)hlt_at);
  endTimer();
  end();
  begin("irq.trap gate leaves IF");
  idt[TIMER * 2] |= 1ull << 40;
  kernel(userNop)->rflags = FLAGS0 | IF;
  pendTimer();
  go();
  wantIf = IF;
  trap(TIMER, (uptr)userNop);
  endTimer();
  resetGate(TIMER);
  end();
  begin("irq.gate not present: EXT");
  idt[TIMER * 2] &= ~(1ull << 47);
  kernel(userNop)->rflags = FLAGS0 | IF;
  pendTimer();
  go();
  // The fault is one of the interrupt: nothing of the instruction has begun, and rip is where it would have been.
  eq("vector", cap.vector, NP);
  eq("rip", cap.rip, (uptr)userNop);
  eq("error", cap.error, ours ? TIMER * 8 + 3 : TIMER * 16 + 2);
  endTimer();
  resetGate(TIMER);
  end();
  begin("irq.gate dpl does not matter");
  user(userNop)->rflags = FLAGS0 | IF;
  pendTimer();
  go();
  trap(TIMER, USER(userNop));
  endTimer();
  end();

  begin("irq.in the middle of rep stosb");
  out8(0x20, 0x20);
  armTimer(120); // about 100 us: 100,000 iterations
  out8(0x21, 0xfe);
  u8 *area = LOW(0x800000);
  area[0x100000] = 0;
  kernel(repStos)->rflags = FLAGS0 | IF;
  ctx.r[RDI] = (uptr)area;
  ctx.r[RCX] = 0x100000;
  ctx.r[RAX] = 0x3c;
  go();
  eq("vector", cap.vector, TIMER);
  if (ours || cap.rip == (uptr)repStos_at) {
    eq("rip", cap.rip, (uptr)repStos_at);
    eq("some done", cap.r[RCX] != 0 && cap.r[RCX] != 0x100000, 1);
    if (ours) eq("RF", cap.rflags & RF, RF);
  }
  eq("rcx and rdi", cap.r[RCX] + cap.r[RDI], 0x100000 + (uptr)area);
  if (cap.r[RDI] > (uptr)area) eq("last written", *(u8 *)(cap.r[RDI] - 1), 0x3c);
  endTimer();
  resume();
  ctx.rflags &= ~(u64)IF;
  go();
  eq("vector", cap.vector, DONE);
  eq("rcx", cap.r[RCX], 0);
  eq("rdi", cap.r[RDI], (uptr)area + 0x100000);
  eq("last", area[0xfffff], 0x3c);
  eq("beyond", area[0x100000], 0);
  end();
}

// ---- single steps ----

SNIP(steps, "nop\n steps_at: nop\n steps_next: nop");
SNIP(popfTf, "pushq $0x102\n popfq\n nop\n popfTf_at: nop");
SNIP(popfClear, "pushq $2\n popfClear_at: popfq\n popfClear_next: nop");
SNIP(intTf, "int $0x80\n intTf_at: nop");
SNIP(int3Tf, "int3");
SNIP(udTf, "ud2");
SNIP(movSs, "movw %ax, %ss\n nop\n movSs_at: nop");
SNIP(popSsTwice, "movw %ax, %ss\n movw %ax, %ss\n popSsTwice_at: nop\n nop\n popSsTwice_next: nop");
SNIP(movDs, "movw %ax, %ds\n movDs_at: nop");
SNIP(stiTf, "sti\n stiTf_at: nop");
SNIP(pushfTf, "pushfq\n pushfTf_at: popq %rax");
SNIP(jmpTf, "jmp 1f\n ud2\n 1: jmpTf_at: nop");
SNIP(cpuidTf, "cpuid\n cpuidTf_at: nop");
SNIP(inTf, "inb $0x21, %al\n inTf_at: nop");
SNIP(rdtscTf, "rdtsc\n rdtscTf_at: nop");
SNIP(wrmsrTf, "wrmsr\n wrmsrTf_at: nop");
SNIP(hltTf, "hlt\n hltTf_at: nop");
SNIP(callTf, "call 1f\n ud2\n 1: callTf_at: nop");
SNIP(cr3Tf, "movq %rax, %cr3\n cr3Tf_at: nop");
SNIP(iretTf, "pushq $0x2b\n pushq %rbx\n pushq %rdi\n pushq $0x33\n pushq %rcx\n iretTf_at: iretq");
SNIP(rep3, "rep3_at: rep movsb\n rep3_next: nop");
SNIP(repCmp, "repCmp_at: repe cmpsb\n repCmp_next: nop");
ONE(syscallTf, "syscall");
SNIP(sysland, "int $0x81");
ONE(sysretTf, "sysretq");
static u8 bytes[32];

static void step(const char *name, u8 *code, u8 *at, s64 rsp) {
  begin(name);
  kernel(code)->rflags = FLAGS0 | TF;
  ctx.r[RAX] = code == cr3Tf ? get_cr3() : DS0;
  ctx.r[RCX] = 0xc0000102;
  set_dr6(0);
  go();
  wantRsp += rsp;
  trap(DB, (uptr)at);
  eq("dr6", cap.dr6, DR6_FIXED | 0x4000);
  eq("TF", cap.rflags & TF, TF);
  if (code == stiTf) tcg("TCG holds off the trap too: SDM vol. 2B STI");
  end();
}
static void singleSteps(void) {
  step("tf.nop", steps, steps_at, 0);
  begin("tf.goes on");
  resume();
  go();
  trap(DB, (uptr)steps_next);
  end();
  begin("tf.user");
  user(steps)->rflags = FLAGS0 | TF;
  go();
  trap(DB, USER(steps_at));
  resume();
  go();
  trap(DB, USER(steps_next));
  end();
  step("tf.mov ds", movDs, movDs_at, 0);
  step("tf.mov ss takes the next one along", movSs, movSs_at, 0);
  step("tf.jmp", jmpTf, jmpTf_at, 0);
  step("tf.call", callTf, callTf_at, -8);
  step("tf.cpuid", cpuidTf, cpuidTf_at, 0);
  step("tf.in", inTf, inTf_at, 0);
  step("tf.rdtsc", rdtscTf, rdtscTf_at, 0);
  step("tf.wrmsr", wrmsrTf, wrmsrTf_at, 0);
  step("tf.mov cr3", cr3Tf, cr3Tf_at, 0);
  step("tf.sti", stiTf, stiTf_at, 0);
  // TCG halts for good instead (SDM vol. 2A HLT, vol. 3B 17.3.1.4).
  if (ours) step("tf.hlt", hltTf, hltTf_at, 0);
  begin("tf.pushf pushes it");
  kernel(pushfTf)->rflags = FLAGS0 | TF;
  go();
  wantRsp -= 8;
  trap(DB, (uptr)pushfTf_at);
  eq("pushed", *(u64 *)(TOP(kstack) - 8), FLAGS0 | TF);
  end();
  begin("tf.popf sets it: the next one traps");
  kernel(popfTf);
  go();
  trap(DB, (uptr)popfTf_at);
  end();
  begin("tf.popf clears it: traps once more");
  kernel(popfClear)->rflags = FLAGS0 | TF;
  go();
  eq("push", cap.rip, (uptr)popfClear_at);
  resume();
  go();
  eq("vector", cap.vector, DB);
  eq("rip", cap.rip, (uptr)popfClear_next);
  eq("TF", cap.rflags & TF, 0);
  resume();
  go();
  done(popfClear_end);
  end();
  begin("tf.int goes to its handler only");
  kernel(intTf)->rflags = FLAGS0 | TF;
  go();
  trap(INTU, (uptr)intTf_at);
  eq("TF", cap.rflags & TF, TF);
  end();
  begin("tf.int from user");
  user(intTf)->rflags = FLAGS0 | TF;
  go();
  trap(INTU, USER(intTf_at));
  end();
  begin("tf.a fault wins");
  kernel(udTf)->rflags = FLAGS0 | TF;
  go();
  fault(UD, 0, (uptr)udTf);
  eq("TF", cap.rflags & TF, TF);
  end();
  for (u64 flags = 2; flags < 0x200; flags += TF) {
    for (u64 before = 0; before <= TF; before += TF) {
      begin("tf.iret");
      kernel(iretTf);
      ctx.r[RBX] = USER(TOP(ustack));
      ctx.r[RCX] = USER(steps);
      ctx.r[RDI] = flags;
      // Up to the IRET without steps
      ctx.rip = (uptr)iretTf;
      if (before) {
        ctx.rip = (uptr)iretTf_at;
        ctx.r[RSP] -= 40;
        u64 *f = (u64 *)ctx.r[RSP];
        f[0] = USER(steps);
        f[1] = UCS64;
        f[2] = flags;
        f[3] = USER(TOP(ustack));
        f[4] = UDS;
        ctx.rflags |= TF;
      }
      go();
      if (before || flags & TF) {
        eq("vector", cap.vector, DB);
        eq("rip", cap.rip, before ? USER(steps) : USER(steps_at));
        eq("TF", cap.rflags & TF, flags & TF);
      } else eq("vector", cap.vector, DONE);
      end();
    }
  }
  wrmsr(0xc0000081, (u64)(UCS32) << 48 | (u64)CS64 << 32);
  wrmsr(0xc0000082, (uptr)sysland);
  wrmsr(0xc0000084, TF | IF);
  begin("tf.syscall that masks TF");
  user(syscallTf)->rflags = FLAGS0 | TF;
  go();
  eq("vector", cap.vector, DONE);
  eq("r11", cap.r[R11], FLAGS0 | TF);
  end();
  wrmsr(0xc0000084, IF);
  begin("tf.syscall that does not");
  user(syscallTf)->rflags = FLAGS0 | TF;
  go();
  eq("vector", cap.vector, DB);
  eq("rip", cap.rip, (uptr)sysland);
  eq("cs", cap.cs, CS64);
  end();
  for (u32 before = 0; before < 2; before++) {
    begin(before ? "  stepped" : "tf.sysret that sets TF traps at once");
    kernel(sysretTf)->r[RCX] = USER(steps);
    ctx.r[R11] = FLAGS0 | TF;
    if (before) ctx.rflags |= TF;
    go();
    eq("vector", cap.vector, DB);
    eq("rip", cap.rip, USER(steps));
    eq("cs", cap.cs, UCS64);
    end();
  }
  begin("tf.rep movsb traps after each iteration");
  kernel(rep3)->r[RCX] = 3;
  ctx.r[RSI] = ctx.r[RDI] = (uptr)bytes;
  ctx.rflags |= TF;
  for (u32 left = 2; left < 3; left--) {
    go();
    eq("vector", cap.vector, DB);
    eq("rip", cap.rip, left ? (uptr)rep3_at : (uptr)rep3_next);
    eq("rcx", cap.r[RCX], left);
    eq("rdi", cap.r[RDI], (uptr)bytes + 3 - left);
    if (ours) eq("RF", cap.rflags >> 16 & 1, left ? 1 : 0);
    resume();
  }
  tcg("TCG traps after the last iteration and again when it finds count 0: SDM vol. 3B 17.3.1.4");
  end();
  begin("tf.rep with count 0");
  kernel(rep3)->rflags |= TF;
  go();
  trap(DB, (uptr)rep3_next);
  end();
  begin("tf.repe cmpsb that ends early");
  memset8(bytes, 0, sizeof bytes);
  bytes[17] = 1;
  kernel(repCmp)->r[RCX] = 8;
  ctx.r[RSI] = (uptr)bytes;
  ctx.r[RDI] = (uptr)bytes + 16;
  ctx.rflags |= TF;
  go();
  eq("first", cap.rip, (uptr)repCmp_at);
  resume();
  go();
  eq("second", cap.rip, (uptr)repCmp_next);
  eq("rcx", cap.r[RCX], 6);
  end();
  begin("tf.BS stays in DR6");
  set_dr6(0x4000);
  kernel(udTf);
  go();
  eq("dr6", cap.dr6, DR6_FIXED | 0x4000);
  set_dr6(0);
  end();
}

// ---- breakpoints ----

SNIP(two, "nop\n two_at: incl %eax\n two_next: incl %eax");
SNIP(store, "movl $5, %ecx\n movb %al, (%rbx)\n store_at: nop\n store_next: nop");
SNIP(store8, "movq %rax, (%rbx)\n store8_at: nop");
SNIP(load, "movb (%rbx), %al\n load_at: nop");
SNIP(load8, "movq (%rbx), %rax\n load8_at: nop");
SNIP(add, "addl $1, (%rbx)\n add_at: nop");
SNIP(push, "pushq %rax\n push_at: nop");
SNIP(sse, "movups %xmm0, (%rbx)\n sse_at: nop");
SNIP(sse2, "movups (%rbx), %xmm0\n sse2_at: nop");
SNIP(movSsMem, "movw (%rbx), %ss\n nop\n movSsMem_at: nop");
SNIP(gd, "gd_at: movq %dr0, %rax");
SNIP(gdWrite, "gdWrite_at: movq %rax, %dr7");
ONE(int1, ".byte 0xf1");
ONE(intN1, "int $1");
SNIP(outBp, "outb %al, $0x80\n outBp_at: nop");
SNIP(outBp2, "outw %ax, $0x80\n outBp2_at: nop");
static u64 watched[8] __attribute__((aligned(64)));

static void dr(u32 n, u64 address, u32 rw, u32 length, u32 enable) {
  switch (n) {
    case 0: set_dr0(address); break;
    case 1: set_dr1(address); break;
    case 2: set_dr2(address); break;
    default: set_dr3(address);
  }
  u64 mask = 3ull << n * 2 | 15ull << (16 + n * 4);
  set_dr7((get_dr7() & ~mask) | (u64)enable << n * 2 | (u64)(rw | length << 2) << (16 + n * 4));
}
static void breakpoints(void) {
  for (u32 n = 0; n < 4; n++) {
    for (u32 u = 0; u < 2; u++) {
      begin(u ? "  user" : "bp.execute");
      dr(n, u ? USER(two_at) : (uptr)two_at, 0, 0, 1 + (n & 1));
      if (u) user(two);
      else kernel(two);
      set_dr6(0);
      go();
      trap(DB, u ? USER(two_at) : (uptr)two_at);
      eq("dr6", cap.dr6, DR6_FIXED | 1 << n);
      eq("rax", cap.r[RAX], 0);
      resume();
      go();
      eq("again without RF", cap.rip, u ? USER(two_at) : (uptr)two_at);
      resume();
      ctx.rflags |= RF;
      go();
      eq("vector", cap.vector, DONE);
      eq("rax", cap.r[RAX], 2);
      eq("RF is gone", cap.rflags & RF, 0);
      tcg("TCG keeps RF: SDM vol. 3B 17.3.1.1");
      dr(n, 0, 0, 0, 0);
      end();
    }
  }
  begin("bp.two in a row, RF covers one");
  dr(0, (uptr)two_at, 0, 0, 1);
  dr(1, (uptr)two_next, 0, 0, 1);
  set_dr6(0);
  kernel(two);
  go();
  trap(DB, (uptr)two_at);
  resume();
  ctx.rflags |= RF;
  set_dr6(0);
  go();
  trap(DB, (uptr)two_next);
  eq("dr6", cap.dr6, DR6_FIXED | 2);
  dr(1, 0, 0, 0, 0);
  end();
  begin("bp.off");
  dr(0, (uptr)two_at, 0, 0, 0);
  kernel(two);
  go();
  done(two_end);
  end();
  begin("bp.at the first instruction after IRET");
  dr(0, (uptr)two_at, 0, 0, 1);
  kernel(two)->rip = (uptr)two_at;
  go();
  trap(DB, (uptr)two_at);
  end();
  begin("bp.inside an instruction is none");
  dr(0, (uptr)two_at + 1, 0, 0, 1);
  kernel(two);
  go();
  done(two_end);
  end();
  begin("bp.execute and step together");
  dr(0, (uptr)two_at, 0, 0, 1);
  set_dr6(0);
  kernel(two)->rflags |= TF;
  go();
  trap(DB, (uptr)two_at);
  // The trap of the NOP comes before the breakpoint of the next instruction, or both are told at once.
  eq("BS", cap.dr6 & 0x4000, 0x4000);
  dr(0, 0, 0, 0, 0);
  end();
  begin("bp.after mov ss is held off");
  dr(0, (uptr)movSs + 2, 0, 0, 1);
  set_dr0((uptr)movSs_at - 1);
  kernel(movSs)->r[RAX] = DS0;
  go();
  done(movSs_end);
  tcg("TCG holds off no breakpoint: SDM vol. 3A 6.8.3");
  end();
  begin("bp.on rep: once, and through with RF");
  dr(0, (uptr)rep3_at, 0, 0, 1);
  kernel(rep3)->r[RCX] = 20;
  ctx.r[RSI] = ctx.r[RDI] = (uptr)bytes;
  go();
  trap(DB, (uptr)rep3_at);
  eq("rcx", cap.r[RCX], 20);
  resume();
  ctx.rflags |= RF;
  go();
  eq("vector", cap.vector, DONE);
  eq("rcx", cap.r[RCX], 0);
  tcg("TCG meets it again at each iteration: SDM vol. 3B 17.3.1.1");
  dr(0, 0, 0, 0, 0);
  end();

  uptr w = (uptr)&watched[2];
  // rw 1 is write, 3 is read or write; length 0 1 3 2 is 1 2 4 8 bytes
  struct row { const char *name; u8 *code, *at; uptr rbx, dr; u8 rw, length, hit; };
  const struct row rows[] = {
    { "watch.write byte", store, store_at, w, w, 1, 0, 1 }, { "watch.write beside", store, store_at, w + 1, w, 1, 0, 0 }, { "watch.write, 2 bytes", store, store_at, w + 1, w, 1, 1, 1 },
    { "watch.write, 4 bytes", store, store_at, w + 3, w, 1, 3, 1 }, { "watch.write, 8 bytes", store, store_at, w + 7, w, 1, 2, 1 }, { "watch.write, 8 bytes, beside", store, store_at, w + 8, w, 1, 2, 0 },
    { "watch.wide write over a byte", store8, store8_at, w, w + 7, 1, 0, 1 }, { "watch.wide write before", store8, store8_at, w - 8, w, 1, 0, 0 },
    { "watch.unaligned write", store8, store8_at, w - 7, w, 1, 0, 1 }, { "watch.address is aligned to the length", store, store_at, w, w + 3, 1, 3, 1 },
    { "watch.read does not write", load, load_at, w, w, 1, 0, 0 }, { "watch.read", load, load_at, w, w, 3, 0, 1 }, { "watch.read 8", load8, load8_at, w - 4, w, 3, 2, 1 },
    { "watch.write is an access", store, store_at, w, w, 3, 0, 1 }, { "watch.add", add, add_at, w, w, 1, 3, 1 }, { "watch.sse store", sse, sse_at, w - 8, w + 7, 1, 0, 1 },
    { "watch.sse load", sse2, sse2_at, w - 8, w, 3, 0, 1 }, { "watch.push", push, push_at, 0, TOP(kstack) - 8, 1, 2, 1 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    u32 n = i & 3;
    dr(n, t->dr, t->rw, t->length, 2);
    kernel(t->code)->r[RBX] = t->rbx;
    set_dr6(0);
    go();
    begin(t->name);
    if (t->hit) {
      if (t->code == push) wantRsp -= 8;
      trap(DB, (uptr)t->at);
      eq("dr6", cap.dr6, DR6_FIXED | 1 << n);
    } else done(t->code == store ? store_end : t->code == store8 ? store8_end : load_end);
    if (t->dr == w + 3) tcg("TCG aligns no address: SDM vol. 3B 17.2.5");
    end();
    dr(n, 0, 0, 0, 0);
  }
  begin("watch.user");
  dr(0, USER(watched), 1, 0, 1);
  user(store)->r[RBX] = USER(watched);
  set_dr6(0);
  go();
  trap(DB, USER(store_at));
  eq("dr6", cap.dr6, DR6_FIXED | 1);
  dr(0, 0, 0, 0, 0);
  end();
  begin("watch.two at once, and a step");
  dr(0, w, 1, 0, 1);
  dr(2, w + 4, 3, 3, 1);
  kernel(store8)->r[RBX] = w;
  ctx.rflags |= TF;
  set_dr6(0);
  go();
  trap(DB, (uptr)store8_at);
  eq("dr6", cap.dr6, DR6_FIXED | 0x4005);
  tcg("TCG traps for the watch point first, then for the step: SDM vol. 3B 17.2.3");
  dr(0, 0, 0, 0, 0);
  dr(2, 0, 0, 0, 0);
  end();
  begin("watch.over a page boundary");
  map(8, FRAME(8) | P | W);
  map(9, FRAME(12) | P | W);
  dr(0, PAGE(9), 1, 0, 1);
  kernel(store8)->r[RBX] = PAGE(9) - 4;
  set_dr6(0);
  go();
  trap(DB, (uptr)store8_at);
  dr(0, 0, 0, 0, 0);
  end();
  begin("watch.rep movsb stops after the iteration");
  dr(0, w + 5, 1, 0, 1);
  kernel(rep3)->r[RCX] = 16;
  ctx.r[RSI] = (uptr)bytes;
  ctx.r[RDI] = w;
  set_dr6(0);
  go();
  eq("vector", cap.vector, DB);
  eq("rip", cap.rip, (uptr)rep3_at);
  eq("rcx", cap.r[RCX], 10);
  eq("rdi", cap.r[RDI], w + 6);
  resume();
  go();
  eq("vector", cap.vector, DONE);
  eq("rcx", cap.r[RCX], 0);
  dr(0, 0, 0, 0, 0);
  end();
  begin("watch.mov ss: comes after the next instruction");
  static u16 selector = DS0;
  dr(0, (uptr)&selector, 3, 1, 1);
  kernel(movSsMem)->r[RBX] = (uptr)&selector;
  set_dr6(0);
  go();
  trap(DB, (uptr)movSsMem_at);
  eq("dr6", cap.dr6, DR6_FIXED | 1);
  tcg("TCG traps at once: SDM vol. 3A 6.8.3");
  dr(0, 0, 0, 0, 0);
  end();
  begin("watch.a faulting store is not told");
  map(8, FRAME(8) | P);
  dr(0, PAGE(8), 1, 0, 1);
  kernel(store8)->r[RBX] = PAGE(8);
  set_dr6(0);
  go();
  fault(PF, P | W, (uptr)store8);
  eq("dr6", cap.dr6, DR6_FIXED);
  dr(0, 0, 0, 0, 0);
  end();

  begin("gd.read");
  set_dr6(0);
  set_dr7(0x2000);
  kernel(gd);
  go();
  fault(DB, 0, (uptr)gd_at);
  eq("dr6", cap.dr6, DR6_FIXED | 0x2000);
  eq("GD is cleared", get_dr7(), 0x400);
  tcg("TCG has no general detect: SDM vol. 3B 17.2.4");
  end();
  begin("gd.write");
  set_dr6(0);
  set_dr7(0x2000);
  kernel(gdWrite);
  go();
  fault(DB, 0, (uptr)gdWrite_at);
  eq("GD is cleared", get_dr7(), 0x400);
  tcg("TCG has no general detect: SDM vol. 3B 17.2.4");
  end();
  begin("gd.privilege comes first");
  set_dr7(0x2000);
  user(gd);
  go();
  eq("vector", cap.vector == GP || cap.vector == DB, 1);
  // run() read DR6 in the handler: GD would have made that fault, so it is off by now or this was #DB
  end();
  set_dr7(0);

  begin("int1.kernel");
  set_dr6(0);
  kernel(int1);
  go();
  trap(DB, (uptr)int1_next);
  eq("dr6", cap.dr6, DR6_FIXED);
  tcg("TCG has no INT1: SDM vol. 2A INT1");
  end();
  begin("int1.user, dpl 0");
  user(int1);
  go();
  trap(DB, USER(int1_next));
  tcg("TCG has no INT1: SDM vol. 2A INT1");
  end();
  begin("int 1.user, dpl 0");
  user(intN1);
  go();
  fault(GP, DB * 8 + 2, USER(intN1));
  end();
  begin("int1.gate not present: EXT");
  idt[DB * 2] &= ~(1ull << 47);
  kernel(int1);
  go();
  eq("vector", cap.vector, NP);
  eq("rip", cap.rip, (uptr)int1);
  eq("error", cap.error, DB * 8 + 3);
  tcg("TCG never sets EXT, and has gone on: SDM vol. 3A 6.13");
  resetGate(DB);
  end();

  begin("watch.port");
  dr(1, 0x80, 2, 0, 1);
  kernel(outBp);
  set_dr6(0);
  go();
  trap(DB, (uptr)outBp_at);
  eq("dr6", cap.dr6, DR6_FIXED | 2);
  tcg("TCG meets no breakpoint at an unassigned port: SDM vol. 3B 17.2.4");
  end();
  begin("watch.port beside");
  dr(1, 0x82, 2, 0, 1);
  kernel(outBp2);
  go();
  done(outBp2_end);
  end();
  begin("watch.port wide");
  dr(1, 0x81, 2, 0, 1);
  kernel(outBp2);
  set_dr6(0);
  go();
  trap(DB, (uptr)outBp2_at);
  tcg("TCG compares the first port only: SDM vol. 3B 17.2.5");
  end();
  dr(1, 0, 0, 0, 0);
}

void kernel_main(void) {
  init64();
  interrupts();
  singleSteps();
  breakpoints();
  finish();
}
