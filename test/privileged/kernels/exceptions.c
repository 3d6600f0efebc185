/* Exceptions in 64-bit mode: vectors, error codes, the pushed state, and that a faulting instruction changes nothing. */
#include "lib64.h"

#define NONCANONICAL 0x8000000000000000ull

// ---- each vector once ----

SNIP(de, "xorl %ecx, %ecx\n movl $7, %eax\n xorl %edx, %edx\n de_at: divl %ecx");
SNIP(idiv, "movabsq $0x8000000000000000, %rax\n cqo\n movq $-1, %rcx\n idiv_at: idivq %rcx");
ONE(div64, "divq %rbx");
ONE(int3, "int3");
ONE(intBp, "int $3");
ONE(into, ".byte 0xce");
ONE(ud2, "ud2");
ONE(ud1, ".byte 0x0f, 0xb9, 0xc0");
ONE(lockReg, ".byte 0xf0, 0x01, 0xc0");
ONE(lockMov, ".byte 0xf0, 0x89, 0x03");
ONE(pushEs, ".byte 0x06");
ONE(daa, ".byte 0x27");
ONE(pusha, ".byte 0x60");
ONE(farJump, ".byte 0xea, 0, 0, 0, 0, 8, 0");
ONE(movCs, ".byte 0x8e, 0xc8");
ONE(sixteen, ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90");
ONE(fld1, "fld1");
ONE(fwait, "fwait");
ONE(xorps, "xorps %xmm0, %xmm0");
ONE(emms, "movq %mm0, %mm1");
ONE(fxsave, "fxsave (%rbx)");
SNIP(mf, "fninit\n movl $0x37b, -8(%rsp)\n fldcw -8(%rsp)\n fld1\n fldz\n fdivrp\n nop\n mf_at: fwait\n mf_next:");
SNIP(mfClear, "fnclex\n fninit");
SNIP(xm, "movl $0x1d80, -8(%rsp)\n ldmxcsr -8(%rsp)\n xorps %xmm1, %xmm1\n movl $0x3f800000, %eax\n movd %eax, %xmm0\n xm_at: divss %xmm1, %xmm0");
SNIP(xmClear, "movl $0x1f80, -8(%rsp)\n ldmxcsr -8(%rsp)");
ONE(hltOp, "hlt");
ONE(load8, "movq (%rbx), %rax");
ONE(load4, "movl (%rbx), %eax");
ONE(store8, "movq %rax, (%rbx)");
ONE(storeByte, "movb %al, (%rbx)");
ONE(loadRbp, "movq (%rbp), %rax");
ONE(loadRsp, "movq (%rsp), %rax");
ONE(loadRbpDs, "movq 8(%rbp, %rax), %rax");
ONE(loadFs, "movq %fs:(%rbx), %rax");

/** faults() where TCG is known to be wrong. */
static void faultsTcg(const char *name, u64 vector, u64 error, u64 rip, const char *reason) {
  begin(name);
  go();
  fault(vector, error, rip);
  tcg(reason);
  end();
}
static void vectors(void) {
  kernel(de);
  faults("de.kernel", DE, 0, (uptr)de_at);
  user(de);
  faults("de.user", DE, 0, USER(de_at));
  kernel(idiv);
  faults("de.idiv overflow", DE, 0, (uptr)idiv_at);
  kernel(div64)->r[RDX] = 5;
  ctx.r[RBX] = 5;
  faults("de.quotient", DE, 0, (uptr)div64_at);

  begin("bp.kernel");
  kernel(int3);
  go();
  trap(BP, (uptr)int3_next);
  end();
  begin("bp.user");
  user(int3);
  go();
  trap(BP, USER(int3_next));
  end();
  begin("bp.int 3 user");
  user(intBp);
  go();
  trap(BP, USER(intBp_next));
  end();
  idt[BP * 2] &= ~(3ull << 45);
  user(int3);
  faults("bp.gate dpl 0 from user", GP, BP * 8 + 2, USER(int3_at));
  kernel(int3);
  begin("bp.gate dpl 0 from kernel");
  go();
  trap(BP, (uptr)int3_next);
  end();
  resetGate(BP);

  static const struct { const char *name; u8 *code; } ud[] = {
    { "ud.ud2", ud2 }, { "ud.ud1", ud1 }, { "ud.lock register", lockReg }, { "ud.lock mov", lockMov }, { "ud.into", into }, { "ud.push es", pushEs },
    { "ud.daa", daa }, { "ud.pusha", pusha }, { "ud.far jump", farJump }, { "ud.mov cs", movCs },
  };
  for (u32 i = 0; i < sizeof ud / sizeof *ud; i++) {
    kernel(ud[i].code)->r[RBX] = TOP(kstack);
    const char *why = ud[i].code == lockMov ? "TCG takes LOCK before MOV: SDM vol. 2A LOCK" : 0;
    faultsTcg(ud[i].name, UD, 0, (uptr)ud[i].code, why);
    user(ud[i].code)->r[RBX] = USER(TOP(ustack));
    faultsTcg("  user", UD, 0, USER(ud[i].code), why);
  }
  kernel(sixteen);
  faults("gp.16 byte instruction", GP, 0, (uptr)sixteen);

  u64 cr0 = get_cr0(), cr4 = get_cr4();
  set_cr0(cr0 | 8);
  kernel(fld1);
  faults("nm.ts x87", NM, 0, (uptr)fld1);
  kernel(fwait);
  faults("nm.ts mp fwait", NM, 0, (uptr)fwait);
  user(xorps);
  faults("nm.ts sse", NM, 0, USER(xorps));
  kernel(emms);
  faults("nm.ts mmx", NM, 0, (uptr)emms);
  kernel(fxsave)->r[RBX] = FRAME(0);
  faults("nm.ts fxsave", NM, 0, (uptr)fxsave);
  set_cr0((cr0 | 8) & ~2ull);
  begin("nm.ts without mp, fwait goes on");
  kernel(fwait);
  go();
  done(fwait_end);
  end();
  set_cr0(cr0 | 4);
  kernel(fld1);
  faults("nm.em x87", NM, 0, (uptr)fld1);
  kernel(xorps);
  faults("ud.em sse", UD, 0, (uptr)xorps);
  kernel(emms);
  faults("ud.em mmx", UD, 0, (uptr)emms);
  set_cr0(cr0);
  set_cr4(cr4 & ~0x200ull);
  kernel(xorps);
  faults("ud.osfxsr sse", UD, 0, (uptr)xorps);
  set_cr4(cr4);

  begin("mf.fwait");
  kernel(mf);
  go();
  fault(MF, 0, (uptr)mf_at);
  end();
  kernel(mfClear);
  go();
  begin("mf.user");
  user(mf);
  go();
  fault(MF, 0, USER(mf_at));
  end();
  kernel(mfClear);
  go();
  kernel(xm);
  faultsTcg("xm.kernel", XM, 0, (uptr)xm_at, "TCG raises no SIMD floating-point exceptions: SDM vol. 1 11.5");
  user(xm);
  faultsTcg("xm.user", XM, 0, USER(xm_at), "TCG raises no SIMD floating-point exceptions: SDM vol. 1 11.5");
  set_cr4(cr4 & ~0x400ull);
  kernel(xm);
  faultsTcg("ud.xm without osxmmexcpt", UD, 0, (uptr)xm_at, "TCG raises no SIMD floating-point exceptions: SDM vol. 1 11.5");
  set_cr4(cr4);
  kernel(xmClear);
  go();

  user(hltOp);
  faults("gp.user hlt", GP, 0, USER(hltOp));
  kernel(fxsave)->r[RBX] = FRAME(0) + 8;
  faults("gp.fxsave alignment", GP, 0, (uptr)fxsave);

  static const struct { const char *name; u8 *code; u64 rbx, rbp; u32 vector; } canonical[] = {
    { "gp.noncanonical load", load8, NONCANONICAL, 0, GP },
    { "gp.noncanonical store", store8, 0x0000800000000000, 0, GP },
    { "gp.last bytes noncanonical", load8, 0x00007ffffffffffc, 0, GP },
    { "gp.noncanonical fs", loadFs, NONCANONICAL, 0, GP },
    { "ss.noncanonical rbp", loadRbp, 0, NONCANONICAL, SS },
    { "ss.noncanonical rbp index", loadRbpDs, 0, NONCANONICAL, SS },
  };
  for (u32 i = 0; i < sizeof canonical / sizeof *canonical; i++) {
    kernel(canonical[i].code)->r[RBX] = canonical[i].rbx;
    ctx.r[RBP] = canonical[i].rbp;
    const char *why = canonical[i].vector == SS ? "TCG raises #GP for the stack segment too: SDM vol. 1 3.3.7.1"
      : canonical[i].rbx == 0x00007ffffffffffc ? "TCG looks at the first byte only: SDM vol. 1 3.3.7.1" : 0;
    faultsTcg(canonical[i].name, canonical[i].vector, 0, (uptr)canonical[i].code, why);
    user(canonical[i].code)->r[RBX] = canonical[i].rbx;
    ctx.r[RBP] = canonical[i].rbp;
    faultsTcg("  user", canonical[i].vector, 0, USER(canonical[i].code), why);
  }
}

// ---- where the stack cannot be used ----

ONE(push8, "pushq %rax");
ONE(pushImm, "pushq $1");
ONE(pushMem, "pushq (%rbx)");
ONE(pushf8, "pushfq");
ONE(call8, "call call8_at");
ONE(callReg, "call *%rax");
ONE(callMem, "call *(%rbx)");
ONE(pop8, "popq %rax");
ONE(popf8, "popfq");
ONE(ret8, "ret");
ONE(leave8, "leave");
ONE(enter0, "enter $16, $0");
ONE(enter3, "enter $16, $3");
ONE(iretBad, "iretq");
ONE(retfBad, "lretq");
ONE(popMem, "popq (%rbx)");
ONE(push2, "pushw %ax");
ONE(pushFs, "pushq %fs");

static void stacks(void) {
  static const struct { const char *name; u8 *code; u32 write; } ops[] = {
    { "push", push8, 1 }, { "push imm", pushImm, 1 }, { "push mem", pushMem, 1 }, { "pushf", pushf8, 1 }, { "call", call8, 1 }, { "call reg", callReg, 1 },
    { "call mem", callMem, 1 }, { "push16", push2, 1 }, { "push fs", pushFs, 1 }, { "enter", enter0, 1 }, { "enter 3", enter3, 1 },
    { "pop", pop8, 0 }, { "popf", popf8, 0 }, { "ret", ret8, 0 }, { "pop mem", popMem, 0 }, { "iret", iretBad, 0 }, { "retf", retfBad, 0 },
  };
  map(8, 0);
  map(9, FRAME(9) | P | W | US);
  for (u32 i = 0; i < sizeof ops / sizeof *ops; i++) {
    // Kernel faults go to IST 1 here: the stack is what is broken.
    for (u32 v = SS; v <= PF; v++) idt[v * 2] |= 1ull << 32;
    kernel(ops[i].code)->r[RSP] = 0x0000900000000000;
    ctx.r[RBX] = PAGE(9);
    begin(ops[i].name);
    go();
    fault(SS, 0, (uptr)ops[i].code);
    tcg("TCG raises #GP for the stack segment too: SDM vol. 1 3.3.7.1");
    end();
    kernel(ops[i].code)->r[RSP] = PAGE(8) + 0x800;
    ctx.r[RBX] = PAGE(9);
    ctx.r[RBP] = PAGE(9) + 0x100;
    begin("  page fault");
    go();
    fault(PF, ops[i].write ? W : 0, (uptr)ops[i].code);
    eq("cr2", cap.cr2 & ~0xfffull, PAGE(8));
    eq("rbp", cap.r[RBP], ctx.r[RBP]);
    end();
    user(ops[i].code)->r[RSP] = PAGE(8) + 0x800;
    ctx.r[RBX] = PAGE(9);
    ctx.r[RBP] = PAGE(9) + 0x100;
    begin("  user");
    for (u32 v = SS; v <= PF; v++) resetGate(v);
    go();
    fault(PF, US | (ops[i].write ? W : 0), USER(ops[i].code));
    eq("rbp", cap.r[RBP], ctx.r[RBP]);
    if (ops[i].code == iretBad || ops[i].code == retfBad) tcg("TCG reads the frame as privilege 0: SDM vol. 3A 4.7");
    end();
  }
  begin("leave");
  user(leave8)->r[RBP] = PAGE(8) + 16;
  go();
  fault(PF, US, USER(leave8));
  eq("cr2", cap.cr2, PAGE(8) + 16);
  eq("rbp", cap.r[RBP], PAGE(8) + 16);
  end();
  begin("pop mem: destination faults, rsp stays");
  user(popMem)->r[RBX] = PAGE(8) + 24;
  go();
  fault(PF, US | W, USER(popMem));
  eq("cr2", cap.cr2, PAGE(8) + 24);
  end();
  begin("push mem: source faults");
  user(pushMem)->r[RBX] = PAGE(8) + 24;
  go();
  fault(PF, US, USER(pushMem));
  end();
  begin("enter: allocated frame is probed for writing");
  user(enter0)->r[RSP] = PAGE(9) + 16;
  go();
  fault(PF, US | W, USER(enter0));
  eq("rbp", cap.r[RBP], 0);
  tcg("TCG probes no frame: SDM vol. 2A ENTER");
  end();
  begin("push across two pages, the upper missing");
  map(10, FRAME(10) | P | W | US);
  map(11, 0);
  user(push8)->r[RSP] = PAGE(11) + 4;
  go();
  fault(PF, US | W, USER(push8));
  eq("cr2", cap.cr2, PAGE(11));
  end();
}

// ---- read-modify-write: the load counts as a write ----

ONE(incM, "incl (%rbx)");
ONE(addM, "addq %rax, (%rbx)");
ONE(adcM, "adcb $1, (%rbx)");
ONE(notM, "notw (%rbx)");
ONE(negM, "negq (%rbx)");
ONE(xchgM, "xchgl %eax, (%rbx)");
ONE(xchgM1, "xchgb %al, (%rbx)");
ONE(xaddM, "xaddq %rax, (%rbx)");
ONE(xaddM2, "xaddw %ax, (%rbx)");
ONE(cmpxchgM, "lock cmpxchgl %ecx, (%rbx)");
ONE(cmpxchgM1, "cmpxchgb %cl, (%rbx)");
ONE(cmpxchg8, "cmpxchg8b (%rbx)");
ONE(cmpxchg16, "cmpxchg16b (%rbx)");
ONE(btsM, "btsl $3, (%rbx)");
ONE(btsR, "btsq %rax, (%rbx)");
ONE(shlM, "shll $3, (%rbx)");
ONE(shldM, "shldl $3, %eax, (%rbx)");
ONE(rolM, "rolq %cl, (%rbx)");
ONE(setM, "setz (%rbx)");
ONE(movM, "movl $5, (%rbx)");
ONE(movapsM, "movaps %xmm0, (%rbx)");
ONE(fstM, "fnstcw (%rbx)");
ONE(sgdtM, "sgdt (%rbx)");
ONE(stosM, "movq %rbx, %rdi\n stosl");
ONE(smswM, "smsw (%rbx)");

static void readModifyWrite(void) {
  static const struct { const char *name; u8 *code; } ops[] = {
    { "rmw.inc", incM }, { "rmw.add", addM }, { "rmw.adc8", adcM }, { "rmw.not16", notM }, { "rmw.neg", negM }, { "rmw.xchg", xchgM }, { "rmw.xchg8", xchgM1 },
    { "rmw.xadd", xaddM }, { "rmw.xadd16", xaddM2 }, { "rmw.cmpxchg that differs", cmpxchgM }, { "rmw.cmpxchg8", cmpxchgM1 }, { "rmw.cmpxchg8b", cmpxchg8 },
    { "rmw.cmpxchg16b", cmpxchg16 }, { "rmw.bts", btsM }, { "rmw.bts reg", btsR }, { "rmw.shl", shlM }, { "rmw.shld", shldM }, { "rmw.rol cl", rolM },
    { "rmw.setz", setM }, { "rmw.mov", movM }, { "rmw.movaps", movapsM }, { "rmw.fnstcw", fstM }, { "rmw.sgdt", sgdtM }, { "rmw.smsw", smswM },
  };
  for (u32 i = 0; i < sizeof ops / sizeof *ops; i++) {
    for (int present = 0; present < 2; present++) {
      map(8, present ? FRAME(8) | P | US : 0);
      memset8(LOW(FRAME(8)), 0x5a, 64);
      kernel(ops[i].code)->r[RBX] = PAGE(8) + 16;
      ctx.r[RAX] = 1;
      ctx.r[RDX] = 2;
      ctx.r[RCX] = 3;
      ctx.rflags = FLAGS0 | CF | 0x40;
      begin(present ? "  read-only" : ops[i].name);
      go();
      fault(PF, W | present, (uptr)ops[i].code);
      if (!present) tcg("TCG reads first: SDM vol. 3A 4.7, W of a read-modify-write");
      eq("cr2", cap.cr2, PAGE(8) + 16);
      eq("rax", cap.r[RAX], 1);
      eq("rdx", cap.r[RDX], 2);
      eq("rcx", cap.r[RCX], 3);
      eq("flags", cap.rflags & 0x8d5, CF | 0x40);
      eq("memory", *(volatile u64 *)LOW(FRAME(8) + 16), 0x5a5a5a5a5a5a5a5a);
      end();
    }
  }
  begin("rmw.cmpxchg16b alignment");
  kernel(cmpxchg16)->r[RBX] = FRAME(8) + 8;
  go();
  fault(GP, 0, (uptr)cmpxchg16);
  tcg("TCG 7.2 checks no alignment here: SDM vol. 2A CMPXCHG16B");
  end();
}

// ---- page-crossing operands and instructions ----

ONE(movups, "movups (%rbx), %xmm0");
ONE(movupsS, "movups %xmm0, (%rbx)");
ONE(fldt, "fldt (%rbx)");
ONE(fstpt, "fstpt (%rbx)");
ONE(fxrstor, "fxrstor (%rbx)");
ONE(lgdtM, "lgdt (%rbx)");

static void crossing(void) {
  static const struct { const char *name; u8 *code; u32 write, below; } ops[] = {
    { "crossing.load", load8, 0, 3 }, { "crossing.store", store8, W, 3 }, { "crossing.add", addM, W, 1 }, { "crossing.xadd16", xaddM2, W, 1 },
    { "crossing.movups", movups, 0, 8 }, { "crossing.movups store", movupsS, W, 12 }, { "crossing.fld80", fldt, 0, 8 }, { "crossing.fstp80", fstpt, W, 9 },
    { "crossing.fxsave", fxsave, W, 256 }, { "crossing.fxrstor", fxrstor, 0, 256 }, { "crossing.lgdt", lgdtM, 0, 4 }, { "crossing.sgdt", sgdtM, W, 2 },
  };
  kernel(mfClear);
  go();
  for (u32 i = 0; i < sizeof ops / sizeof *ops; i++) {
    map(8, FRAME(8) | P | W | US);
    map(9, 0);
    memset8(LOW(FRAME(8) + 4096 - 512), 0, 512);
    kernel(ops[i].code)->r[RBX] = PAGE(9) - ops[i].below;
    ctx.r[RAX] = ~0ull;
    begin(ops[i].name);
    go();
    fault(PF, ops[i].write, (uptr)ops[i].code);
    eq("cr2", cap.cr2, PAGE(9));
    u64 sum = 0;
    for (u32 j = 0; j < 512; j++) sum |= *(volatile u8 *)LOW(FRAME(8) + 4096 - 512 + j);
    if (ops[i].code != fxsave && ops[i].code != sgdtM && ops[i].code != fstpt && ops[i].code != movupsS) eq("first page", sum, 0);
    if (ops[i].code == addM || ops[i].code == xaddM2) tcg("TCG reads first: SDM vol. 3A 4.7, W of a read-modify-write");
    end();
  }
  begin("crossing.first page missing");
  map(8, 0);
  map(9, FRAME(9) | P | W | US);
  kernel(load8)->r[RBX] = PAGE(9) - 3;
  go();
  fault(PF, 0, (uptr)load8);
  eq("cr2", cap.cr2, PAGE(9) - 3);
  end();
  begin("crossing.works, two distant frames");
  map(8, FRAME(12) | P | W | US);
  map(9, FRAME(9) | P | W | US);
  kernel(store8)->r[RBX] = PAGE(9) - 3;
  ctx.r[RAX] = 0x1122334455667788;
  go();
  done(store8_end);
  eq("low", *(volatile u32 *)LOW(FRAME(12) + 4092) >> 8, 0x667788);
  eq("high", *(volatile u64 *)LOW(FRAME(9)) & 0xffffffffff, 0x1122334455);
  end();
  // mov $0x12345678, %eax over the boundary
  static const u8 code[] = { 0xb8, 0x78, 0x56, 0x34, 0x12, 0xcd, 0x81 };
  for (u32 split = 1; split < 5; split++) {
    memcopy(LOW(FRAME(8) + 4096 - split), code, split);
    memcopy(LOW(FRAME(9)), code + split, sizeof code - split);
    map(8, FRAME(8) | P | US);
    map(9, 0);
    begin("fetch.second page missing");
    user(code)->rip = PAGE(9) - split;
    go();
    fault(PF, US | 0x10, PAGE(9) - split);
    eq("cr2", cap.cr2, PAGE(9));
    end();
    map(9, FRAME(9) | P | US | NX);
    begin("fetch.second page no-execute");
    user(code)->rip = PAGE(9) - split;
    go();
    fault(PF, P | US | 0x10, PAGE(9) - split);
    eq("cr2", cap.cr2, PAGE(9));
    end();
    map(9, FRAME(9) | P | US);
    begin("fetch.second page there");
    user(code)->rip = PAGE(9) - split;
    go();
    eq("vector", cap.vector, DONE);
    eq("rax", cap.r[RAX], 0x12345678);
    end();
  }
  begin("fetch.first page missing");
  map(8, 0);
  user(code)->rip = PAGE(9) - 2;
  go();
  fault(PF, US | 0x10, PAGE(9) - 2);
  eq("cr2", cap.cr2, PAGE(9) - 2);
  end();
  begin("fetch.runs off the end of a page");
  static const u8 nops[] = { 0x90, 0x90 };
  memcopy(LOW(FRAME(8) + 4094), nops, 2);
  map(8, FRAME(8) | P | US);
  map(9, 0);
  user(code)->rip = PAGE(9) - 2;
  go();
  fault(PF, US | 0x10, PAGE(9));
  eq("cr2", cap.cr2, PAGE(9));
  end();
}

// ---- REP ----

ONE(repMovsb, "rep movsb");
ONE(repMovsq, "rep movsq");
ONE(repStosb, "rep stosb");
ONE(repStosq, "rep stosq");
ONE(repeCmpsb, "repe cmpsb");
ONE(repneScasb, "repne scasb");
ONE(repLodsb, "rep lodsb");
SNIP(repBack, "std\n repBack_at: rep movsb");

static void repeats(void) {
  struct row { const char *name; u8 *code; u64 rcx, rsi, rdi; u64 cr2, error; u64 doneCount; u32 size; int from, to; };
  static const struct row rows[] = {
    { "rep.movsb target", repMovsb, 100, PAGE(16), PAGE(21) - 40, PAGE(21), W, 40, 1, 1, 1 },
    { "rep.movsb source", repMovsb, 100, PAGE(21) - 33, PAGE(16), PAGE(21), 0, 33, 1, 1, 1 },
    { "rep.movsq target unaligned", repMovsq, 20, PAGE(16), PAGE(21) - 44, PAGE(21), W, 5, 8, 1, 1 },
    { "rep.movsq source unaligned", repMovsq, 20, PAGE(21) - 44, PAGE(16), PAGE(21), 0, 5, 8, 1, 1 },
    { "rep.movsb both at once", repMovsb, 20, PAGE(21) - 4, PAGE(21) - 4, PAGE(21), 0, 4, 1, 1, 1 },
    { "rep.movsb first iteration", repMovsb, 20, PAGE(16), PAGE(21), PAGE(21), W, 0, 1, 1, 1 },
    { "rep.movsb over pages", repMovsb, 10000, PAGE(16), PAGE(19) - 5, PAGE(21), W, 8197, 1, 1, 1 },
    { "rep.stosb", repStosb, 5000, 0, PAGE(20) - 7, PAGE(21), W, 4103, 1, 0, 1 },
    { "rep.stosq unaligned", repStosq, 100, 0, PAGE(21) - 20, PAGE(21), W, 2, 8, 0, 1 },
    { "rep.cmpsb", repeCmpsb, 100, PAGE(21) - 9, PAGE(16), PAGE(21), 0, 9, 1, 1, 1 },
    { "rep.scasb", repneScasb, 100, 0, PAGE(21) - 9, PAGE(21), 0, 9, 1, 0, 1 },
    { "rep.lodsb", repLodsb, 100, PAGE(21) - 9, 0, PAGE(21), 0, 9, 1, 1, 0 },
  };
  for (u32 i = 16; i < 21; i++) map(i, FRAME(i) | P | W | US);
  map(21, 0);
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    for (int u = 0; u < 2; u++) {
      memset8(LOW(FRAME(16)), 0, 5 * 4096);
      if (u) user(t->code);
      else kernel(t->code);
      ctx.r[RCX] = t->rcx;
      ctx.r[RSI] = t->rsi;
      ctx.r[RDI] = t->rdi;
      ctx.r[RAX] = 0x77;
      begin(u ? "  user" : t->name);
      go();
      fault(PF, t->error | (u ? US : 0), u ? USER(t->code) : (uptr)t->code);
      eq("cr2", cap.cr2, t->cr2);
      eq("rcx", cap.r[RCX], t->rcx - t->doneCount);
      eq("rsi", cap.r[RSI], t->rsi + (t->from ? t->doneCount * t->size : 0));
      eq("rdi", cap.r[RDI], t->rdi + (t->to ? t->doneCount * t->size : 0));
      end();
    }
  }
  begin("rep.goes on after the fault");
  user(repStosb)->r[RCX] = 5000;
  ctx.r[RDI] = PAGE(20);
  ctx.r[RAX] = 0x5b;
  go();
  map(21, FRAME(21) | P | W | US);
  *(volatile u8 *)LOW(FRAME(21) + 903) = 0;
  *(volatile u8 *)LOW(FRAME(21) + 904) = 0;
  resume();
  go();
  eq("vector", cap.vector, DONE);
  eq("rcx", cap.r[RCX], 0);
  eq("rdi", cap.r[RDI], PAGE(20) + 5000);
  eq("last", *(volatile u8 *)LOW(FRAME(21) + 903), 0x5b);
  eq("beyond", *(volatile u8 *)LOW(FRAME(21) + 904), 0);
  end();
  map(21, 0);
  begin("rep.backwards");
  map(15, 0);
  user(repBack)->r[RCX] = 50;
  ctx.r[RSI] = PAGE(18);
  ctx.r[RDI] = PAGE(16) + 20;
  go();
  fault(PF, US | W, USER(repBack_at));
  eq("cr2", cap.cr2, PAGE(16) - 1);
  eq("rcx", cap.r[RCX], 29);
  eq("rsi", cap.r[RSI], PAGE(18) - 21);
  eq("rdi", cap.r[RDI], PAGE(16) - 1);
  eq("DF", cap.rflags >> 10 & 1, 1);
  end();
  begin("rep.count 0 touches nothing");
  user(repMovsb)->r[RSI] = PAGE(21);
  ctx.r[RDI] = PAGE(21);
  go();
  done(repMovsb_end);
  end();
  begin("rep.stos to read-only");
  map(20, FRAME(20) | P | US);
  user(repStosb)->r[RCX] = 5000;
  ctx.r[RDI] = PAGE(19);
  go();
  fault(PF, P | US | W, USER(repStosb));
  eq("cr2", cap.cr2, PAGE(20));
  eq("rcx", cap.r[RCX], 904);
  end();
}

// ---- delivery: gates, stacks, flags ----

ONE(int80, "int $0x80");
ONE(int90, "int $0x90");
ONE(ud, "ud2");
SNIP(afterGate, "sti\n nop\n ud2");
ONE(jmpReg, "jmp *%rax");
ONE(callReg2, "call *%rax");
SNIP(retBad, "pushq %rax\n retBad_at: ret");
SNIP(iretCanon, "pushq $0x10\n pushq $0\n pushq $2\n pushq $8\n pushq %rax\n iretCanon_at: iretq");

static void gates(void) {
  begin("gate.interrupt gate clears IF");
  kernel(ud)->rflags = FLAGS0 | IF;
  go();
  fault(UD, 0, (uptr)ud);
  eq("pushed IF", cap.rflags & IF, IF);
  end();
  begin("gate.trap gate leaves IF");
  idt[UD * 2] |= 1ull << 40;
  kernel(ud)->rflags = FLAGS0 | IF;
  go();
  wantIf = IF;
  fault(UD, 0, (uptr)ud);
  end();
  begin("gate.trap gate, IF off");
  kernel(ud);
  go();
  fault(UD, 0, (uptr)ud);
  resetGate(UD);
  end();
  begin("gate.clears TF NT, keeps AC DF CF");
  user(ud)->rflags = FLAGS0 | NT | AC | 0x400 | CF | 0x200000;
  go();
  fault(UD, 0, USER(ud));
  eq("pushed", cap.rflags & ~(u64)RF, FLAGS0 | NT | AC | 0x400 | CF | 0x200000);
  eq("inside", cap.flagsIn & (NT | AC | 0x400 | CF | 0x200000), AC | 0x400 | CF | 0x200000);
  end();
  for (u32 i = 1; i < 16; i += 5) {
    begin("gate.stack is aligned");
    kernel(ud)->r[RSP] = TOP(kstack) - i;
    go();
    fault(UD, 0, (uptr)ud);
    end();
    begin("gate.stack is aligned, with error code");
    kernel(hltOp);
    user(hltOp)->r[RSP] = USER(TOP(ustack)) - i;
    tss.rsp[0] = TOP(rsp0stack) - i;
    go();
    fault(GP, 0, USER(hltOp));
    tss.rsp[0] = TOP(rsp0stack);
    end();
  }
  for (u32 n = 1; n < 8; n++) {
    begin("gate.ist");
    tss.ist[n - 1] = TOP(iststack) - 256 + n * 8;
    idt[UD * 2] = (idt[UD * 2] & ~(7ull << 32)) | (u64)n << 32;
    if (n & 1) kernel(ud);
    else user(ud);
    go();
    fault(UD, 0, n & 1 ? (uptr)ud : USER(ud));
    end();
  }
  tss.ist[0] = TOP(iststack);
  resetGate(UD);

  begin("int.user");
  user(int80);
  go();
  trap(INTU, USER(int80_next));
  end();
  user(int90);
  faults("int.user dpl 0", GP, 0x90 * 8 + 2, USER(int90));
  begin("int.kernel dpl 0");
  kernel(int90);
  go();
  trap(0x90, (uptr)int90_next);
  end();
  idt[INTU * 2] &= ~(1ull << 47);
  user(int80);
  faults("int.gate not present", NP, INTU * 8 + 2, USER(int80));
  idt[INTU * 2] &= ~(3ull << 45);
  user(int80);
  faults("int.dpl comes before present", GP, INTU * 8 + 2, USER(int80));
  resetGate(INTU);
  for (u32 type = 0; type < 16; type++) {
    if (type == 14 || type == 15) continue;
    gate(INTU, CS64, (uptr)stubs, 0xe0 | type, 0);
    kernel(int80);
    faults("int.gate type", GP, INTU * 8 + 2, (uptr)int80);
  }
  // The exception's own gate is bad: EXT is set.
  gate(UD, CS64, (uptr)stubs, 0x85, 0);
  kernel(ud);
  faults("ext.gate type", GP, UD * 8 + 3, (uptr)ud);
  gate(UD, CS64, (uptr)stubs, 0x0e, 0);
  kernel(ud);
  faults("ext.not present", NP, UD * 8 + 3, (uptr)ud);
  resetGate(UD);

  static const struct { const char *name; u32 selector; u64 d; u32 vector; u32 error; } codes[] = {
    { "gate cs.null", 0, 0, GP, 0 },
    { "gate cs.null with rpl", 3, 0, GP, 0 },
    { "gate cs.beyond the gdt", 0x3f8, 0, GP, 0x3f8 },
    { "gate cs.data", FREE, 0x00cf93000000ffff, GP, FREE },
    { "gate cs.not present", FREE, 0x00af1b000000ffff, NP, FREE },
    { "gate cs.32 bits", FREE, 0x00cf9b000000ffff, GP, FREE },
    { "gate cs.L and D", FREE, 0x00ef9b000000ffff, GP, FREE },
    { "gate cs.dpl 3", FREE, 0x00affb000000ffff, GP, FREE },
    { "gate cs.system", TSS_SEL, 0, GP, TSS_SEL },
    { "gate cs.ldt, beyond", 0x1fc, 0, GP, 0x1fc },
  };
  for (u32 i = 0; i < sizeof codes / sizeof *codes; i++) {
    if (codes[i].d) gdt[FREE >> 3] = codes[i].d;
    gate(INTU, codes[i].selector, (uptr)stubs + INTU * 16, 0xee, 0);
    kernel(int80);
    faults(codes[i].name, codes[i].vector, codes[i].error, (uptr)int80);
    gate(UD, codes[i].selector, (uptr)stubs + UD * 16, 0x8e, 0);
    kernel(ud);
    faults("  ext", codes[i].vector, codes[i].error | 1, (uptr)ud);
    resetGate(UD);
  }
  begin("gate cs.rpl is ignored");
  gate(INTU, CS64 | 3, (uptr)stubs + INTU * 16, 0xee, 0);
  user(int80);
  go();
  trap(INTU, USER(int80_next));
  end();
  begin("gate cs.conforming stays in ring 3");
  // The handler would run at privilege 3 at a supervisor address: a page fault says that it got there.
  gdt[FREE >> 3] = 0x00af9e000000ffff;
  gate(INTU, FREE, (uptr)stubs + INTU * 16, 0xee, 0);
  user(int80);
  go();
  eq("vector", cap.vector, PF);
  eq("rip", cap.rip, (uptr)stubs + INTU * 16);
  eq("cs", cap.cs, FREE | 3);
  eq("rsp", cap.rsp, (USER(TOP(ustack)) & ~15ull) - 40);
  eq("error", cap.error, P | US | 0x10);
  end();
  begin("gate cs.accessed bit is set");
  gdt[FREE >> 3] = 0x00af9a000000ffff;
  gate(INTU, FREE, (uptr)stubs + INTU * 16, 0xee, 0);
  kernel(int80);
  go();
  eq("vector", cap.vector, INTU);
  eq("descriptor", gdt[FREE >> 3], 0x00af9b000000ffff);
  tcg("TCG does not set the bit in delivery: SDM vol. 3A 3.4.5.1");
  end();
  gate(INTU, CS64, NONCANONICAL, 0xee, 0);
  begin("gate.noncanonical target");
  kernel(int80);
  go();
  fault(GP, 0, (uptr)int80);
  tcg("TCG checks no canonical targets: SDM vol. 2A INT n");
  end();
  resetGate(INTU);

  loadIdt(0x80 * 16 + 14);
  user(int80);
  faults("idt limit.one byte short", GP, 0x80 * 8 + 2, USER(int80));
  loadIdt(0x82 * 16 - 1);
  begin("idt limit.fits");
  user(int80);
  go();
  trap(INTU, USER(int80_next));
  end();
  loadIdt(sizeof idt - 1);

  static const struct { const char *name; u8 *code; s64 rsp; u8 *at; } jumps[] = {
    { "noncanonical.jmp", jmpReg, 0, jmpReg_at }, { "noncanonical.call", callReg2, 0, callReg2_at }, { "noncanonical.ret", retBad, -8, retBad_at },
    { "noncanonical.iret", iretCanon, -40, iretCanon_at },
  };
  for (u32 i = 0; i < sizeof jumps / sizeof *jumps; i++) {
    begin(jumps[i].name);
    kernel(jumps[i].code)->r[RAX] = 0x0000800000000000;
    go();
    wantRsp += jumps[i].rsp;
    fault(GP, 0, (uptr)jumps[i].at);
    tcg("TCG checks no canonical targets, the fetch faults: SDM vol. 2A JMP, CALL, RET, IRET");
    end();
  }
}

// ---- faults while a fault is delivered ----

static void doubles(void) {
  begin("double.gp with its gate not present");
  idt[GP * 2] &= ~(1ull << 47);
  user(hltOp);
  go();
  fault(DF, 0, USER(hltOp));
  end();
  resetGate(GP);
  begin("double.de with a bad gate");
  idt[DE * 2] &= ~(1ull << 47);
  kernel(de);
  go();
  fault(DF, 0, (uptr)de_at);
  end();
  resetGate(DE);
  begin("double.page fault with its gate not present");
  idt[PF * 2] &= ~(1ull << 47);
  map(8, 0);
  kernel(load8)->r[RBX] = PAGE(8) + 8;
  go();
  fault(DF, 0, (uptr)load8);
  eq("cr2", cap.cr2, PAGE(8) + 8);
  end();
  resetGate(PF);
  begin("double.page fault on the stack of a page fault");
  tss.rsp[0] = PAGE(8) + 0x800;
  user(load8)->r[RBX] = PAGE(8) + 8;
  go();
  fault(DF, 0, USER(load8));
  eq("cr2", cap.cr2, PAGE(8) + 0x7f8);
  end();
  begin("double.noncanonical rsp0");
  tss.rsp[0] = 0x0000900000000000;
  user(hltOp);
  go();
  fault(DF, 0, USER(hltOp));
  end();
  tss.rsp[0] = TOP(rsp0stack);
  begin("serial.ud then page fault on the new stack");
  tss.ist[2] = PAGE(8) + 0x800;
  idt[UD * 2] |= 3ull << 32;
  user(ud);
  go();
  fault(PF, W, USER(ud));
  eq("cr2", cap.cr2, PAGE(8) + 0x7f8);
  end();
  begin("serial.gp then page fault on the new stack");
  idt[GP * 2] |= 3ull << 32;
  user(hltOp);
  go();
  fault(PF, W, USER(hltOp));
  end();
  begin("serial.int then page fault on the new stack");
  idt[INTU * 2] |= 3ull << 32;
  user(int80);
  go();
  fault(PF, W, USER(int80));
  end();
  begin("serial.int then noncanonical ist");
  tss.ist[2] = 0x0000900000000000;
  user(int80);
  go();
  fault(SS, 0, USER(int80));
  end();
  begin("serial.ud then noncanonical ist");
  user(ud);
  go();
  fault(SS, 1, USER(ud));
  tcg("TCG pushes no EXT with #SS: SDM vol. 3A 6.13");
  end();
  resetGate(UD);
  resetGate(GP);
  resetGate(INTU);
  begin("ts.ist beyond the tss limit");
  systemDescriptor(TSS_SEL, (uptr)&tss, 0x2b, 0x89);
  asm volatile("ltr %w0" ::"r"(TSS_SEL));
  idt[INTU * 2] |= 2ull << 32;
  user(int80);
  go();
  fault(TS, TSS_SEL, USER(int80));
  end();
  begin("ts.ist beyond the tss limit, ext");
  idt[UD * 2] |= 2ull << 32;
  user(ud);
  go();
  fault(TS, TSS_SEL | 1, USER(ud));
  tcg("TCG pushes no EXT with #TS: SDM vol. 3A 6.13");
  end();
  resetGate(UD);
  resetGate(INTU);
  systemDescriptor(TSS_SEL, (uptr)&tss, sizeof tss - 1, 0x89);
  asm volatile("ltr %w0" ::"r"(TSS_SEL));
}

// ---- alignment ----

ONE(load2, "movw (%rbx), %ax");
ONE(loadByte, "movb (%rbx), %al");
ONE(movupsA, "movups (%rbx), %xmm0");
SNIP(acOff, "pushq %rbx\n pushfq\n andl $~0x40000, (%rsp)\n popfq\n movq (%rbx), %rax");

static void alignment(void) {
  u64 cr0 = get_cr0();
  u64 at = USER(FRAME(8));
  set_cr0(cr0 | 0x40000);
  static const struct { const char *name; u8 *code; u32 offset; int faults; } rows[] = {
    { "ac.load8 at 4", load8, 4, 1 }, { "ac.load8 at 8", load8, 8, 0 }, { "ac.load4 at 2", load4, 2, 1 }, { "ac.load4 at 4", load4, 4, 0 },
    { "ac.load2 at 1", load2, 1, 1 }, { "ac.load2 at 2", load2, 2, 0 }, { "ac.byte at 1", loadByte, 1, 0 }, { "ac.store8 at 1", store8, 1, 1 },
    { "ac.add8 at 7", addM, 7, 1 }, { "ac.add8 at 16", addM, 16, 0 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin(rows[i].name);
    user(rows[i].code)->r[RBX] = at + rows[i].offset;
    ctx.rflags = FLAGS0 | AC;
    go();
    if (rows[i].faults) fault(ACV, 0, USER(rows[i].code));
    else done(rows[i].code + (rows[i].code == load2 || rows[i].code == load8 || rows[i].code == store8 || rows[i].code == addM ? 3 : 2));
    tcg("TCG has no alignment check: SDM vol. 3A 6.15 #AC");
    end();
  }
  begin("ac.push at 4");
  user(push8)->r[RSP] = USER(TOP(ustack)) - 4;
  ctx.rflags = FLAGS0 | AC;
  go();
  fault(ACV, 0, USER(push8));
  tcg("TCG has no alignment check: SDM vol. 3A 6.15 #AC");
  end();
  begin("ac.AC off");
  user(load8)->r[RBX] = at + 1;
  go();
  done(load8_end);
  end();
  begin("ac.POPF turns it off");
  user(acOff)->r[RBX] = at + 1;
  ctx.rflags = FLAGS0 | AC;
  go();
  done(acOff_end);
  end();
  begin("ac.not in the kernel");
  kernel(load8)->r[RBX] = FRAME(8) + 1;
  ctx.rflags = FLAGS0 | AC;
  go();
  done(load8_end);
  end();
  begin("ac.page fault comes first where there is no page");
  map(8, 0);
  user(load8)->r[RBX] = PAGE(8) + 8;
  ctx.rflags = FLAGS0 | AC;
  go();
  fault(PF, US, USER(load8));
  end();
  set_cr0(cr0);
  begin("ac.AM off");
  user(load8)->r[RBX] = at + 1;
  ctx.rflags = FLAGS0 | AC;
  go();
  done(load8_end);
  end();
}

void kernel_main(void) {
  init64();
  vectors();
  stacks();
  readModifyWrite();
  crossing();
  repeats();
  gates();
  doubles();
  alignment();
  finish();
}
