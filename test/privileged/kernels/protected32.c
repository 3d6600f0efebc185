/* 32-bit protected mode without paging: exceptions, limits and types of segments, far transfers, gates. */
#include "lib32.h"

SNIP(de, "xorl %ecx, %ecx\n movl $7, %eax\n xorl %edx, %edx\n de_at: divl %ecx");
ONE(int3, "int3");
SNIP(into, "movb $127, %al\n addb $1, %al\n into_at: into\n into_next: nop");
SNIP(intoNot, "xorl %eax, %eax\n into\n nop");
ONE(bound, "boundl %eax, (%ebx)");
ONE(ud2, "ud2");
ONE(fld1, "fld1");
ONE(hltI, "hlt");
ONE(cliI, "cli");
ONE(inB, "inb $0x80, %al");
ONE(toCr0, "movl %eax, %cr0");
ONE(int80, "int $0x80");
ONE(int90, "int $0x90");
ONE(syscallI, "syscall");
ONE(swapgsI, ".byte 0x0f, 0x01, 0xf8");
SNIP(tf, "nop\n tf_at: nop");

static void exceptions(void) {
  for (int u = 0; u < 2; u++) {
    struct context *(*make)(const void *) = u ? user : kernel;
    make(de);
    faults(u ? "de user" : "de", DE, 0, (uptr)de_at);
    begin(u ? "bp user" : "bp");
    make(int3);
    go();
    trap(BP, (uptr)int3_next);
    end();
    begin(u ? "of user" : "of");
    make(into);
    go();
    trap(OF, (uptr)into_next);
    end();
    begin("of.not set");
    make(intoNot);
    go();
    done(intoNot_end);
    end();
    static int bounds[2] = { -5, 5 };
    make(bound)->r[EAX] = 6;
    ctx.r[EBX] = (uptr)bounds;
    faults(u ? "br user" : "br", BR, 0, (uptr)bound);
    begin("br.inside");
    make(bound)->r[EAX] = -5;
    ctx.r[EBX] = (uptr)bounds;
    go();
    done(bound_end);
    end();
    make(ud2);
    faults(u ? "ud user" : "ud", UD, 0, (uptr)ud2);
    make(int80);
    begin(u ? "int user" : "int");
    go();
    trap(INTU, (uptr)int80_next);
    end();
    begin(u ? "tf user" : "tf");
    make(tf)->eflags |= TF;
    go();
    trap(DB, (uptr)tf_at);
    end();
  }
  u32 cr0 = get_cr0();
  set_cr0(cr0 | 8);
  kernel(fld1);
  faults("nm", NM, 0, (uptr)fld1);
  set_cr0(cr0);
  user(hltI);
  faults("gp.hlt", GP, 0, (uptr)hltI);
  user(cliI);
  faults("gp.cli", GP, 0, (uptr)cliI);
  user(inB);
  faults("gp.in", GP, 0, (uptr)inB);
  user(toCr0);
  faults("gp.mov cr0", GP, 0, (uptr)toCr0);
  user(int90);
  faults("gp.int dpl", GP, 0x90 * 8 + 2, (uptr)int90);
  kernel(swapgsI);
  faults("ud.swapgs", UD, 0, (uptr)swapgsI);
  begin("cr0.PG without PE");
  kernel(toCr0)->r[EAX] = 0x80000000;
  if (ours) go(), fault(GP, 0, (uptr)toCr0);
  end();

  idt[INTU] &= ~(1ull << 47);
  user(int80);
  faults("np.gate", NP, INTU * 8 + 2, (uptr)int80);
  resetGate(INTU);
  for (u32 type = 0; type < 16; type++) {
    if (type == 5 || type == 6 || type == 7 || type == 14 || type == 15) continue;
    gate(INTU, CS0, (uptr)stubs, 0xe0 | type);
    kernel(int80);
    faults("gp.gate type", GP, INTU * 8 + 2, (uptr)int80);
  }
  if (ours) {
    gate(INTU, TSS_SEL, 0, 0xe5);
    kernel(int80);
    faults("task gate is refused here", GP, INTU * 8 + 2, (uptr)int80);
  }
  static const struct { const char *name; u32 selector; u64 d; u32 vector; u32 error; } codes[] = {
    { "gate cs.null", 0, 0, GP, 0 }, { "gate cs.beyond", 0x3f8, 0, GP, 0x3f8 }, { "gate cs.data", A1, 0x00cf93000000ffff, GP, A1 },
    { "gate cs.absent", A1, 0x00cf1b000000ffff, NP, A1 }, { "gate cs.dpl 3", A1, 0x00cffb000000ffff, GP, A1 },
  };
  for (u32 i = 0; i < sizeof codes / sizeof *codes; i++) {
    if (codes[i].d) set(A1, codes[i].d);
    gate(INTU, codes[i].selector, (uptr)stubs + INTU * 16, 0xee);
    kernel(int80);
    faults(codes[i].name, codes[i].vector, codes[i].error, (uptr)int80);
    gate(UD, codes[i].selector, (uptr)stubs + UD * 16, 0x8e);
    kernel(ud2);
    faults("  ext", codes[i].vector, codes[i].error | 1, (uptr)ud2);
    resetGate(UD);
  }
  begin("gate.trap gate leaves IF");
  gate(INTU, CS0, (uptr)stubs + INTU * 16, 0xef);
  user(int80)->eflags |= IF;
  go();
  wantIf = IF;
  trap(INTU, (uptr)int80_next);
  end();
  resetGate(INTU);

  // The stack of privilege 0 in the TSS
  static const struct { const char *name; u32 ss0; u64 d; u32 vector, error; } stacks[] = {
    { "ts.ss0 null", 0, 0, TS, 0 }, { "ts.ss0 beyond", 0x3f8, 0, TS, 0x3f8 }, { "ts.ss0 dpl 3", A1, 0x00cff3000000ffff, TS, A1 }, { "ts.ss0 rpl 3", DS0 | 3, 0, TS, DS0 },
    { "ts.ss0 code", CS0, 0, TS, CS0 }, { "ts.ss0 read-only", A1, 0x00cf91000000ffff, TS, A1 }, { "ss.ss0 absent", A1, 0x00cf13000000ffff, SS, A1 },
  };
  // Their faults are met by a conforming handler that stays at privilege 3, where no stack changes; it mends ss0.
  for (u32 i = 0; i < sizeof stacks / sizeof *stacks; i++) {
    if (stacks[i].d) set(A1, stacks[i].d);
    set(A2, 0x00cf9f000000ffff);
    begin(stacks[i].name);
    tss.ss0 = stacks[i].ss0;
    user(int80);
    extern u8 look[];
    gate(TS, A2, (uptr)look, 0x8e);
    gate(SS, A2, (uptr)look, 0x8e);
    gate(NP, A2, (uptr)look, 0x8e);
    ctx.r[EBX] = (uptr)&tss.ss0;
    go();
    eq("vector", cap.vector, DONE);
    eq("error", cap.r[EAX], stacks[i].error);
    eq("eip", cap.r[ECX], (uptr)int80);
    eq("cs", cap.r[EDX] & 0xffff, UCS);
    end();
    tss.ss0 = DS0;
    for (u32 v = 0; v < 32; v++) resetGate(v);
  }
}
SNIP(look, "popl %eax\n popl %ecx\n popl %edx\n movl $0x10, (%ebx)");

// ---- limits and types ----

ONE(load1, "movb (%ebx), %al");
ONE(load4, "movl (%ebx), %eax");
ONE(store1, "movb %al, (%ebx)");
ONE(store4, "movl %eax, (%ebx)");
ONE(inc4, "incl (%ebx)");
ONE(add2, "addw $1, (%ebx)");
ONE(cmp4, "cmpl %eax, (%ebx)");
ONE(movzx2, "movzwl (%ebx), %eax");
ONE(load8x, "movq (%ebx), %mm0");
ONE(ssLoad4, "movl %ss:(%ebx), %eax");
ONE(csLoad4, "movl %cs:(%ebx), %eax");
ONE(csStore4, "movl %eax, %cs:(%ebx)");
ONE(moffs, "movl 0x1234, %eax");
ONE(lodsl, "movl %ebx, %esi\n lodsl");
SNIP(stosl, "movl %ebx, %edi\n stosl_at: stosl");
SNIP(repStos, "movl %ebx, %edi\n movl $100, %ecx\n repStos_at: rep stosb");
SNIP(loadSs, "movw %ax, %ss\n movl %ecx, %esp\n loadSs_at: pushl %edx\n loadSs_next:");
SNIP(popSs, "movw %ax, %ss\n movl %ecx, %esp\n popSs_at: popl %edx\n popSs_next:");
static u8 area[8192] __attribute__((aligned(4096)));
enum { FLAT_LIMIT = 0xfffff };
static void limits(void) {
  u32 base = (uptr)area;
  u64 small = descriptor(base, 0xfff, 0xf3, 4), readOnly = descriptor(base, 0xfff, 0xf1, 4), down = descriptor(base, 0xfff, 0xf7, 4), down16 = descriptor(base, 0xfff, 0xf7, 0),
      code = descriptor(base, 0xfff, 0xfb, 4), execute = descriptor(base, 0xfff, 0xf9, 4), pages = descriptor(base, 1, 0xf3, 12), downReadOnly = descriptor(base, 0xfff, 0xf5, 4);
  struct row { const char *name; u8 *code; u64 d; u32 ebx; int refused; u8 *at; };
  const struct row rows[] = {
    { "limit.byte", load1, small, 0xfff, 0, 0 }, { "limit.byte beyond", load1, small, 0x1000, 1, 0 }, { "limit.long", load4, small, 0xffc, 0, 0 },
    { "limit.long over the end", load4, small, 0xffd, 1, 0 }, { "limit.store over the end", store4, small, 0xffe, 1, 0 }, { "limit.store", store4, small, 0xffc, 0, 0 },
    { "limit.inc over the end", inc4, small, 0xfff, 1, 0 }, { "limit.add16", add2, small, 0xffe, 0, 0 }, { "limit.add16 over the end", add2, small, 0xfff, 1, 0 },
    { "limit.cmp over the end", cmp4, small, 0xffd, 1, 0 }, { "limit.movzx over the end", movzx2, small, 0xfff, 1, 0 }, { "limit.wraps around", load4, small, 0xfffffffe, 1, 0 },
    { "limit.pages", load1, pages, 0x1fff, 0, 0 }, { "limit.pages beyond", load1, pages, 0x2000, 1, 0 }, { "type.read-only read", load4, readOnly, 0, 0, 0 },
    { "type.read-only store", store4, readOnly, 0, 1, 0 }, { "type.read-only inc", inc4, readOnly, 0, 1, 0 }, { "type.read-only cmp", cmp4, readOnly, 0, 0, 0 },
    { "type.code read", load4, code, 0, 0, 0 }, { "type.code store", store4, code, 0, 1, 0 },
    { "down.below", load1, down, 0xfff, 1, 0 }, { "down.above", load1, down, 0x1000, 0, 0 }, { "down.store above", store4, down, 0x1000, 0, 0 },
    { "down.16 bits top", load1, down16, 0x10000, 1, 0 }, { "down.16 bits over the top", load4, down16, 0xfffe, 1, 0 }, { "down.16 bits", load1, down16, 0xffff, 0, 0 },
    { "down.read-only store", store4, downReadOnly, 0x1000, 1, 0 },
    { "string.lods over the end", lodsl, small, 0xffd, 1, lodsl_at + 2 }, { "moffs beyond", moffs, small, 0, 1, 0 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    set(A1, t->d);
    for (int u = 0; u < 2; u++) {
      if (u) user(t->code);
      else kernel(t->code);
      ctx.ds = A1 | (u ? 3 : 0);
      ctx.r[EBX] = t->ebx;
      begin(u ? "  user" : t->name);
      go();
      if (t->refused) fault(GP, 0, t->at ? (uptr)t->at : (uptr)t->code);
      else eq("vector", cap.vector, DONE);
      tcg("TCG checks neither limits nor types: SDM vol. 3A 5.3, 5.5");
      end();
    }
  }
  static const char *why = "TCG checks neither limits nor types: SDM vol. 3A 5.3, 5.5";
  begin("base.is added");
  *(volatile u32 *)(area + 0x234) = 0x13572468;
  set(A1, small);
  kernel(load4)->ds = A1;
  ctx.r[EBX] = 0x234;
  go();
  eq("eax", cap.r[EAX], 0x13572468);
  end();
  begin("base.wraps at 4 GiB");
  set(A1, descriptor(base + 0x1000, FLAT_LIMIT, 0xf3, 12));
  kernel(load4)->ds = A1;
  ctx.r[EBX] = 0xfffff234;
  go();
  eq("eax", cap.r[EAX], 0x13572468);
  end();
  begin("null.load");
  kernel(load4)->ds = 0;
  go();
  fault(GP, 0, (uptr)load4);
  tcg(why);
  end();
  begin("string.stos: es");
  set(A1, small);
  kernel(stosl)->es = A1;
  ctx.r[EBX] = 0xffe;
  go();
  fault(GP, 0, (uptr)stosl_at);
  tcg(why);
  end();
  begin("string.rep stos to the limit");
  kernel(repStos)->es = A1;
  ctx.r[EBX] = 0xff0;
  go();
  fault(GP, 0, (uptr)repStos_at);
  eq("ecx", cap.r[ECX], 84);
  eq("edi", cap.r[EDI], 0x1000);
  tcg(why);
  end();
  begin("cs.read");
  kernel(csLoad4)->r[EBX] = (uptr)area + 0x234;
  go();
  eq("eax", cap.r[EAX], 0x13572468);
  end();
  begin("cs.store");
  kernel(csStore4)->r[EBX] = (uptr)area;
  go();
  fault(GP, 0, (uptr)csStore4);
  tcg(why);
  end();
  begin("ss.override beyond the limit");
  set(A1, descriptor(0, 0x1fffff, 0x93, 4));
  set(A1, descriptor(0, 0x3ff, 0x93, 12));
  kernel(ssLoad4)->ss = A1;
  ctx.r[EBX] = 0x3ffffe;
  go();
  fault(SS, 0, (uptr)ssLoad4);
  tcg(why);
  end();
  // Stacks of their own: limit, expand-down, 16 bits
  struct stackRow { const char *name; u8 *code; u64 d; u32 esp; int refused; u32 after; };
  const struct stackRow stacks[] = {
    { "ss.push", loadSs, descriptor(base, 0xfff, 0x93, 4), 0x1000, 0, 0xffc }, { "ss.push beyond", loadSs, descriptor(base, 0xfff, 0x93, 4), 0x1004, 1, 0 },
    { "ss.pop", popSs, descriptor(base, 0xfff, 0x93, 4), 0xffc, 0, 0x1000 }, { "ss.pop over the end", popSs, descriptor(base, 0xfff, 0x93, 4), 0xffd, 1, 0 },
    { "ss.down push", loadSs, descriptor(base, 0xfff, 0x97, 4), 0x1100, 0, 0x10fc }, { "ss.down push below", loadSs, descriptor(base, 0xfff, 0x97, 4), 0x1002, 1, 0 },
    { "ss.16 bits", loadSs, descriptor(base, 0xffff, 0x93, 0), 0x12340800, 0, 0x123407fc },
  };
  for (u32 i = 0; i < sizeof stacks / sizeof *stacks; i++) {
    const struct stackRow *t = &stacks[i];
    set(A1, t->d | 3ull << 45);
    user(t->code)->r[EAX] = A1 | 3;
    ctx.r[ECX] = t->esp;
    begin(t->name);
    go();
    if (t->refused) {
      wantEsp = t->esp;
      wantSs = A1 | 3;
      fault(SS, 0, t->code == loadSs ? (uptr)loadSs_at : (uptr)popSs_at);
      tcg(why);
    } else {
      eq("vector", cap.vector, DONE);
      eq("esp", cap.esp, t->after);
    }
    end();
  }
}

// ---- loads ----

ONE(movDs, "movw %ax, %ds");
ONE(movSs, "movw %ax, %ss");
ONE(les, "lesl (%ebx), %eax");
SNIP(pushPop, "pushl %fs\n popl %gs");
static void loads(void) {
  struct row { const char *name; u8 cpl, ss; u16 selector; u64 d; u32 vector; };
  static const struct row rows[] = {
    { "load.null", 3, 0, 0, 0, 0 }, { "load.dpl 3", 3, 0, A1 | 3, 0x00cff2000000ffff, 0 }, { "load.dpl 0 user", 3, 0, A1 | 3, 0x00cf92000000ffff, GP },
    { "load.absent", 3, 0, A1 | 3, 0x00cf72000000ffff, NP }, { "load.execute-only", 3, 0, A1 | 3, 0x00cff8000000ffff, GP }, { "load.system", 0, 0, TSS_SEL, 0, GP },
    { "load.beyond", 0, 0, 0x200, 0, GP }, { "ss.null", 0, 1, 0, 0, GP }, { "ss.null user", 3, 1, 3, 0, GP }, { "ss.dpl", 0, 1, A1, 0x00cff2000000ffff, GP },
    { "ss.absent", 0, 1, A1, 0x00cf12000000ffff, SS }, { "ss.read-only", 0, 1, A1, 0x00cf90000000ffff, GP }, { "ss.works", 0, 1, A1, 0x00cf92000000ffff, 0 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    if (t->d) set(A1, t->d);
    u8 *c = t->ss ? movSs : movDs;
    if (t->cpl) user(c);
    else kernel(c);
    ctx.r[EAX] = t->selector;
    begin(t->name);
    go();
    if (t->vector) fault(t->vector, t->selector & 0xfffc, (uptr)c);
    else {
      eq("vector", cap.vector, DONE);
      eq("selector", t->ss ? cap.ss : cap.ds, t->selector);
      if (t->d) eq("accessed", gdt[A1 >> 3], t->d | 1ull << 40);
    }
    end();
  }
  begin("load.les");
  static struct { u32 offset; u16 selector; } __attribute__((packed)) far = { 0x12345678, UDS };
  user(les)->r[EBX] = (uptr)&far;
  go();
  eq("eax", cap.r[EAX], 0x12345678);
  eq("es", cap.es, UDS);
  end();
}

// ---- far transfers ----

ONE(jmpFar, "ljmp *(%ebx)");
ONE(callFar, "lcall *(%ebx)");
ONE(retFar, "lretl");
ONE(retFar8, "lretl $8");
ONE(iretI, "iretl");
SNIP(land, "nop");
SNIP(sysland, "nop");
ONE(sysenter, "sysenter");
ONE(sysexit, "sysexit");
ONE(pusha, "pushal");
SNIP(pushaPopa, "pushal\n xorl %eax, %eax\n xorl %edi, %edi\n popal");
ONE(nearJmp, "jmp *%eax");
static struct { u32 offset; u16 selector; } __attribute__((packed)) pointer;
static void far(void) {
  struct row { const char *name; u16 selector; u64 d; u8 cpl; u32 vector; };
  static const struct row rows[] = {
    { "far.same", A1, 0x00cf9a000000ffff, 0, 0 }, { "far.user", A1 | 3, 0x00cffa000000ffff, 3, 0 }, { "far.dpl 0 user", A1, 0x00cf9a000000ffff, 3, GP },
    { "far.conforming", A1 | 3, 0x00cf9e000000ffff, 3, 0 }, { "far.absent", A1, 0x00cf1a000000ffff, 0, NP }, { "far.data", A1, 0x00cf92000000ffff, 0, GP }, { "far.null", 0, 0, 0, GP },
    { "far.beyond the limit", A1, 0x00409a000000ffff, 0, GP },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *t = &rows[i];
    for (int call = 0; call < 2; call++) {
      if (t->d) set(A1, t->d);
      u8 *code = call ? callFar : jmpFar;
      if (t->cpl) user(code);
      else kernel(code);
      pointer.offset = (uptr)land;
      pointer.selector = t->selector;
      ctx.r[EBX] = (uptr)&pointer;
      begin(call ? "  call" : t->name);
      go();
      if (t->vector) fault(t->vector, i == 7 ? 0 : t->selector & 0xfffc, (uptr)code);
      else {
        eq("vector", cap.vector, DONE);
        eq("eip", cap.eip, (uptr)land_end + 2);
        eq("cs", cap.cs, t->selector);
        eq("esp", cap.esp, ctx.r[ESP] - (call ? 8 : 0));
        if (call) {
          u32 *f = (u32 *)(ctx.r[ESP] - 8);
          eq("pushed eip", f[0], ctx.eip + 2);
          eq("pushed cs", f[1] & 0xffff, ctx.cs);
        }
      }
      if (i == 7) tcg("TCG pushes the selector: SDM vol. 2A CALL");
      end();
    }
  }
  begin("near.jmp beyond the limit");
  set(A1, descriptor(0, 0x1ff, 0x9b, 12));
  kernel(nearJmp)->cs = A1;
  ctx.r[EAX] = 0x200000;
  *(volatile u16 *)0x200000 = 0x81cd;
  go();
  fault(GP, 0, (uptr)nearJmp);
  tcg("TCG checks no limit of CS: SDM vol. 2A JMP");
  end();

  // A call gate with two parameters, to privilege 0
  begin("call gate.parameters");
  set(A2, ((uptr)land & 0xffff) | CS0 << 16 | (u64)0xec02 << 32 | (u64)((uptr)land >> 16) << 48);
  pointer.selector = A2 | 3;
  user(callFar)->r[EBX] = (uptr)&pointer;
  ((u32 *)TOP(ustack))[0] = 0x11111111;
  ((u32 *)TOP(ustack))[1] = 0x22222222;
  go();
  eq("vector", cap.vector, DONE);
  eq("cs", cap.cs, CS0);
  eq("ss", cap.ss, DS0);
  eq("esp", cap.esp, TOP(esp0stack) - 24);
  u32 *f = (u32 *)(TOP(esp0stack) - 24);
  eq("eip", f[0], (uptr)callFar_next);
  eq("cs", f[1] & 0xffff, UCS);
  eq("parameter", f[2], 0x11111111);
  eq("parameter 2", f[3], 0x22222222);
  eq("esp", f[4], TOP(ustack));
  eq("ss", f[5] & 0xffff, UDS);
  end();
  begin("call gate.the way back");
  kernel(retFar8)->r[ESP] = TOP(esp0stack) - 24;
  ctx.es = UDS;
  // run() pushes below the frame that is used
  go();
  eq("vector", cap.vector, DONE);
  eq("eip", cap.eip, (uptr)callFar_end + 2);
  eq("cs", cap.cs, UCS);
  eq("ss", cap.ss, UDS);
  eq("esp", cap.esp, TOP(ustack) + 8);
  eq("ds is emptied", cap.ds, 0);
  eq("es stays", cap.es, UDS);
  end();
  begin("call gate.jmp to another privilege");
  user(jmpFar)->r[EBX] = (uptr)&pointer;
  go();
  fault(GP, CS0, (uptr)jmpFar);
  end();
  begin("call gate.dpl");
  set(A2, gdt[A2 >> 3] & ~(3ull << 45));
  user(callFar)->r[EBX] = (uptr)&pointer;
  go();
  fault(GP, A2, (uptr)callFar);
  end();
  begin("call gate.absent");
  set(A2, (gdt[A2 >> 3] | 3ull << 45) & ~(1ull << 47));
  user(callFar)->r[EBX] = (uptr)&pointer;
  go();
  fault(NP, A2, (uptr)callFar);
  end();
  begin("call gate.same privilege");
  set(A2, ((uptr)land & 0xffff) | CS0 << 16 | (u64)0x8c02 << 32 | (u64)((uptr)land >> 16) << 48);
  pointer.selector = A2;
  kernel(callFar)->r[EBX] = (uptr)&pointer;
  go();
  eq("vector", cap.vector, DONE);
  eq("esp", cap.esp, ctx.r[ESP] - 8);
  end();

  struct iretRow { const char *name; u16 cs, ss; u64 d; u32 vector, error; };
  static const struct iretRow irets[] = {
    { "iret.to user", UCS, UDS, 0, 0, 0 }, { "iret.ss null", UCS, 0, 0, GP, 0 }, { "iret.ss dpl", UCS, DS0 | 3, 0, GP, DS0 }, { "iret.ss absent", UCS, A1 | 3, 0x00cf72000000ffff, SS, A1 },
    { "iret.cs absent", A1 | 3, UDS, 0x00cf7a000000ffff, NP, A1 }, { "iret.cs null", 3, UDS, 0, GP, 0 }, { "iret.cs dpl", CS0 | 3, UDS, 0, GP, CS0 },
    { "iret.beyond the limit", A1 | 3, UDS, 0x0040fa000000ffff, GP, 0 },
  };
  for (u32 i = 0; i < sizeof irets / sizeof *irets; i++) {
    const struct iretRow *t = &irets[i];
    if (t->d) set(A1, t->d);
    u32 *s = (u32 *)(TOP(kstack) - 20);
    kernel(iretI)->r[ESP] = (uptr)s;
    s[0] = (uptr)land;
    s[1] = t->cs;
    s[2] = 0x202 | CF;
    s[3] = TOP(ustack) - 8;
    s[4] = t->ss;
    begin(t->name);
    go();
    if (t->vector) fault(t->vector, t->error, (uptr)iretI);
    else {
      eq("vector", cap.vector, DONE);
      eq("cs", cap.cs, UCS);
      eq("ss", cap.ss, UDS);
      eq("esp", cap.esp, TOP(ustack) - 8);
      eq("flags", cap.eflags, 0x203);
      eq("ds", cap.ds, 0);
    }
    if (t->vector == SS) tcg("TCG raises #NP for an absent SS: SDM vol. 2A IRET");
    if (i == 7) tcg("TCG checks no limit of CS: SDM vol. 2A IRET");
    end();
  }
  begin("iret.same privilege leaves ss:esp");
  u32 *s = (u32 *)(TOP(kstack) - 20);
  kernel(iretI)->r[ESP] = (uptr)s;
  s[0] = (uptr)land;
  s[1] = CS0;
  s[2] = 2;
  go();
  eq("vector", cap.vector, DONE);
  eq("esp", cap.esp, TOP(kstack) - 8);
  end();

  wrmsr(0x174, CS0);
  wrmsr(0x175, TOP(kstack));
  wrmsr(0x176, (uptr)sysland);
  begin("sysenter");
  user(sysenter)->eflags |= IF;
  go();
  eq("vector", cap.vector, DONE);
  eq("eip", cap.eip, (uptr)sysland_end + 2);
  eq("cs", cap.cs, CS0);
  eq("ss", cap.ss, DS0);
  eq("esp", cap.esp, TOP(kstack));
  eq("IF", cap.eflags & IF, 0);
  end();
  begin("sysexit");
  kernel(sysexit)->r[EDX] = (uptr)land;
  ctx.r[ECX] = TOP(ustack);
  go();
  eq("vector", cap.vector, DONE);
  eq("cs", cap.cs, CS0 + 16 + 3);
  eq("ss", cap.ss, CS0 + 24 + 3);
  eq("esp", cap.esp, TOP(ustack));
  end();
  user(sysexit);
  faults("sysexit user", GP, 0, (uptr)sysexit);
  begin("pusha popa");
  kernel(pushaPopa);
  for (u32 i = 0; i < 8; i++) if (i != ESP) ctx.r[i] = 0x01010101 * (i + 1);
  go();
  eq("eax", cap.r[EAX], 0x01010101);
  eq("edi", cap.r[EDI], 0x08080808);
  eq("esp", cap.esp, TOP(kstack));
  end();
}

SNIP(lar, "larl %eax, %ebx\n setz %cl\n lsll %eax, %esi\n setz %ch");
ONE(ltr, "ltr %ax");
static void inspections(void) {
  struct row { const char *name; u64 d; u8 lar, lsl; };
  static const struct row rows[] = {
    { "lar.task gate", 0x0000850000080000, 1, 0 }, { "lar.16-bit tss", 0x0000810000000067, 1, 1 }, { "lar.16-bit call gate", 0x0000840000080000, 1, 0 }, { "lar.call gate", 0x00008c0000080000, 1, 0 },
    { "lar.interrupt gate", 0x00008e0000080000, 0, 0 }, { "lar.trap gate 16", 0x0000870000080000, 0, 0 }, { "lar.ldt", 0x0000820000000067, 1, 1 }, { "lar.tss", 0x0000890000000067, 1, 1 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    set(A1, rows[i].d);
    kernel(lar)->r[EAX] = A1;
    begin(rows[i].name);
    go();
    eq("lar", cap.r[ECX] & 0xff, rows[i].lar);
    eq("lsl", cap.r[ECX] >> 8 & 0xff, rows[i].lsl);
    end();
  }
  kernel(ltr)->r[EAX] = TSS_SEL;
  faults("ltr.busy", GP, TSS_SEL, (uptr)ltr);
}

void kernel_main(void) {
  init32();
  exceptions();
  limits();
  loads();
  far();
  inspections();
  finish();
}
