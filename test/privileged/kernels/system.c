/* Control registers, MSRs, debug registers, ports: what is refused, to whom, and what is read back. */
#include "lib64.h"

#define NONCANONICAL 0x0000800000000000ull
SNIP(toCr0, "toCr0_at: movq %rax, %cr0");
ONE(toCr2, "movq %rax, %cr2");
ONE(toCr3, "movq %rax, %cr3");
ONE(toCr4, "movq %rax, %cr4");
ONE(toCr8, "movq %rax, %cr8");
ONE(fromCr0, "movq %cr0, %rax");
ONE(fromCr1, ".byte 0x0f, 0x20, 0xc8");
ONE(toCr5, ".byte 0x0f, 0x22, 0xe8");
ONE(fromCr8, "movq %cr8, %rax");
ONE(rdmsrI, "rdmsr");
ONE(wrmsrI, "wrmsr");
ONE(clts, "clts");
ONE(lmsw, "lmsw %ax");
ONE(invlpg, "invlpg (%rbx)");
ONE(wbinvd, "wbinvd");
ONE(invd, "invd");
ONE(hlt, "hlt");
ONE(lgdt, "lgdt (%rbx)");
ONE(lidt, "lidt (%rbx)");
ONE(cli, "cli");
ONE(sti, "sti");
ONE(rdtsc, "rdtsc");
ONE(rdtscp, "rdtscp");
ONE(rdpmc, "rdpmc");
ONE(cpuidI, "cpuid");
ONE(fromDr0, "movq %dr0, %rax");
ONE(toDr0, "movq %rax, %dr0");
ONE(toDr6, "movq %rax, %dr6");
ONE(toDr7, "movq %rax, %dr7");
ONE(fromDr4, ".byte 0x0f, 0x21, 0xe0");
ONE(fromDr5, ".byte 0x0f, 0x21, 0xe8");
ONE(inB, "inb $0x80, %al");
ONE(inDx, "inb (%dx), %al");
ONE(inwDx, "inw (%dx), %ax");
ONE(inlDx, "inl (%dx), %eax");
ONE(outDx, "outb %al, (%dx)");
ONE(insb, "insb");
ONE(outsb, "outsb");
ONE(vmcall, "vmcall");
ONE(sysretI, "sysretq");
ONE(mwait, ".byte 0x0f, 0x01, 0xc9");
ONE(xsetbv, ".byte 0x0f, 0x01, 0xd1");
ONE(swapgs, "swapgs");
SNIP(popf, "pushq %rax\n popfq\n pushfq\n popq %rbx");
SNIP(smsw, "smsw %rax\n smsw (%rbx)");

static void user3(void) {
  static const struct { const char *name; u8 *code; u32 vector; } rows[] = {
    { "cpl3.mov cr0", toCr0, GP }, { "cpl3.mov from cr0", fromCr0, GP }, { "cpl3.mov cr2", toCr2, GP }, { "cpl3.mov cr3", toCr3, GP }, { "cpl3.mov cr4", toCr4, GP },
    { "cpl3.mov cr8", toCr8, GP }, { "cpl3.mov from cr8", fromCr8, GP }, { "cpl3.rdmsr", rdmsrI, GP }, { "cpl3.wrmsr", wrmsrI, GP }, { "cpl3.clts", clts, GP },
    { "cpl3.lmsw", lmsw, GP }, { "cpl3.invlpg", invlpg, GP }, { "cpl3.wbinvd", wbinvd, GP }, { "cpl3.invd", invd, GP }, { "cpl3.hlt", hlt, GP }, { "cpl3.lgdt", lgdt, GP },
    { "cpl3.lidt", lidt, GP }, { "cpl3.cli", cli, GP }, { "cpl3.sti", sti, GP }, { "cpl3.mov from dr0", fromDr0, GP }, { "cpl3.mov dr0", toDr0, GP }, { "cpl3.mov dr7", toDr7, GP },
    { "cpl3.in", inB, GP }, { "cpl3.insb", insb, GP }, { "cpl3.outsb", outsb, GP }, { "cpl3.rdpmc", rdpmc, GP }, { "cpl3.swapgs", swapgs, GP }, { "cpl3.sysret", sysretI, GP },
    { "cpl3.rdtsc", rdtsc, 0 }, { "cpl3.cpuid", cpuidI, 0 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    user(rows[i].code)->r[RBX] = USER(&gdt);
    ctx.r[RSI] = ctx.r[RDI] = USER(&gdt);
    ctx.r[RDX] = 0x80;
    ctx.r[RAX] = 0x10;
    ctx.r[RCX] = 0x10;
    begin(rows[i].name);
    go();
    if (rows[i].vector) fault(rows[i].vector, 0, USER(rows[i].code));
    else eq("vector", cap.vector, DONE);
    end();
  }
  kernel(vmcall);
  faults("ud.vmcall", UD, 0, (uptr)vmcall);
  kernel(fromCr1);
  faults("ud.cr1", UD, 0, (uptr)fromCr1);
  kernel(toCr5);
  faults("ud.cr5", UD, 0, (uptr)toCr5);
  kernel(xsetbv);
  faults("ud.xsetbv", UD, 0, (uptr)xsetbv);
}

static void control(void) {
  u64 cr0 = get_cr0(), cr4 = get_cr4(), cr3 = get_cr3();
  struct row { const char *name; u8 *code; u64 value; int refused; const char *why; };
  const char *none = "TCG refuses no reserved bits: SDM vol. 2B MOV, vol. 3A 2.5";
  const struct row rows[] = {
    { "cr0.upper half", toCr0, cr0 | 1ull << 32, 1, none }, { "cr0.PG without PE", toCr0, cr0 & ~1ull, 1, none }, { "cr0.NW without CD", toCr0, cr0 | 1 << 29, 1, none },
    { "cr0.PG off in 64-bit mode", toCr0, cr0 & ~(1ull << 31), 1, none }, { "cr0.CD NW", toCr0, cr0 | 3 << 29, 0, 0 }, { "cr0.reserved low bits are ignored", toCr0, cr0 | 0x1ff80, 0, "TCG keeps the reserved bits: SDM vol. 3A 2.5" },
    { "cr4.reserved 12", toCr4, cr4 | 1 << 12, 1, none }, { "cr4.reserved 15", toCr4, cr4 | 1 << 15, 1, none }, { "cr4.reserved 31", toCr4, cr4 | 1u << 31, 1, none },
    { "cr4.upper half", toCr4, cr4 | 1ull << 40, 1, none }, { "cr4.PAE off", toCr4, cr4 & ~0x20ull, 1, none }, { "cr4.VMXE", toCr4, cr4 | 1 << 13, 1, none },
    { "cr4.TSD PCE PGE", toCr4, cr4 | 0x184, 0, 0 }, { "cr3.reserved", toCr3, cr3 | 1ull << 52, 1, none }, { "cr3.beyond the address width", toCr3, cr3 | 1ull << 40, 1, none },
    { "cr3.PWT PCD", toCr3, cr3 | 0x18, 0, 0 }, { "cr8.works", toCr8, 15, 0, 0 }, { "cr8.reserved", toCr8, 16, 1, none }, { "cr8.upper half", toCr8, 1ull << 32, 1, none },
    { "cr2.any value", toCr2, 0x123456789abcdef0, 0, 0 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    // TCG takes what should be refused, and that is the end of this kernel (no PG, 5 levels, another CR3).
    if (!ours && rows[i].refused && rows[i].code != toCr8) continue;
    begin(rows[i].name);
    kernel(rows[i].code)->r[RAX] = rows[i].value;
    go();
    if (rows[i].refused) {
      fault(GP, 0, (uptr)rows[i].code);
    } else eq("vector", cap.vector, DONE);
    tcg(rows[i].why);
    if (rows[i].code == toCr2) eq("cr2", get_cr2(), rows[i].value);
    if (rows[i].code == toCr0) eq("cr0", get_cr0(), rows[i].refused ? cr0 : (rows[i].value & 0xe005003f) | 0x10);
    if (rows[i].code == toCr4) eq("cr4", get_cr4(), rows[i].refused ? cr4 : rows[i].value);
    if (rows[i].code == toCr3) eq("cr3", get_cr3(), rows[i].refused ? cr3 : rows[i].value);
    if (rows[i].code == toCr8 && !rows[i].refused) tcg("without a local APIC QEMU has no CR8");
    if (rows[i].code == toCr8 && !rows[i].refused) eq("cr8", get_cr8(), rows[i].value);
    end();
    set_cr0(cr0);
    set_cr4(cr4);
    set_cr3(cr3);
  }
  set_cr8(0);
  begin("cr0.WP takes effect at once");
  map(8, FRAME(8) | P);
  SNIP(wp, "movl $1, (%rbx)\n movq %rax, %cr0\n wp_at: movl $2, (%rbx)");
  set_cr0(cr0 & ~(1ull << 16));
  kernel(wp)->r[RAX] = cr0;
  ctx.r[RBX] = PAGE(8);
  go();
  fault(PF, P | W, (uptr)wp_at);
  set_cr0(cr0);
  end();
  begin("clts");
  set_cr0(cr0 | 8);
  kernel(clts);
  go();
  eq("cr0", get_cr0(), cr0);
  end();
  begin("lmsw sets TS, keeps PE");
  kernel(lmsw)->r[RAX] = 8;
  go();
  eq("vector", cap.vector, DONE);
  eq("cr0", get_cr0(), (cr0 & ~0xeull) | 9);
  set_cr0(cr0);
  end();
  begin("smsw");
  static u64 word;
  word = ~0ull;
  kernel(smsw)->r[RBX] = (uptr)&word;
  go();
  eq("register", cap.r[RAX], cr0);
  eq("memory", word, (cr0 & 0xffff) | ~0xffffull);
  end();
  begin("popf from user");
  user(popf)->r[RAX] = 0x247fd7 & ~0x100;
  go();
  eq("flags", cap.r[RBX], (0x244cd7));
  end();
  begin("popf from user with IOPL 3");
  user(popf)->r[RAX] = 0x240ed7;
  ctx.rflags = FLAGS0 | IOPL3;
  go();
  eq("flags", cap.r[RBX], 0x240ed7 | IOPL3);
  end();
  begin("popf from kernel");
  kernel(popf)->r[RAX] = 0x277cd7;
  go();
  eq("flags", cap.r[RBX], 0x247cd7);
  tcg("TCG loads RF: SDM vol. 2B POPF");
  end();
  user(cli)->rflags = FLAGS0 | IOPL3 | IF;
  begin("cli with IOPL 3");
  go();
  eq("vector", cap.vector, DONE);
  eq("IF", cap.rflags & IF, 0);
  end();
  set_cr4(cr4 | 4);
  user(rdtsc);
  faults("tsd.rdtsc", GP, 0, USER(rdtsc));
  user(rdtscp);
  begin("tsd.rdtscp");
  go();
  fault(GP, 0, USER(rdtscp));
  tcg("qemu64 has no RDTSCP");
  end();
  begin("tsd.kernel");
  kernel(rdtsc);
  go();
  eq("vector", cap.vector, DONE);
  end();
  set_cr4(cr4);
}

static void msrs(void) {
  u64 efer = rdmsr(0xc0000080);
  struct row { const char *name; u32 index; u64 value; int refused; const char *why; };
  const char *none = "TCG checks no canonical values and no reserved bits: SDM vol. 2B WRMSR";
  const struct row rows[] = {
    { "efer.LME off while paging", 0xc0000080, efer & ~0x100ull, 1, none }, { "efer.reserved", 0xc0000080, efer | 2, 1, none }, { "efer.upper half", 0xc0000080, efer | 1ull << 40, 1, none },
    { "efer.SCE", 0xc0000080, efer & ~1ull, 0, 0 }, { "efer.LMA is not written", 0xc0000080, efer & ~0x400ull, 0, 0 }, { "lstar.noncanonical", 0xc0000082, NONCANONICAL, 1, none },
    { "lstar", 0xc0000082, ~0ull, 0, 0 }, { "cstar.noncanonical", 0xc0000083, NONCANONICAL, 1, none }, { "fs base.noncanonical", 0xc0000100, NONCANONICAL, 1, none },
    { "gs base.noncanonical", 0xc0000101, NONCANONICAL, 1, none }, { "kernel gs base.noncanonical", 0xc0000102, NONCANONICAL, 1, none },
    { "kernel gs base", 0xc0000102, 0xffff800000000000, 0, 0 }, { "sysenter esp.noncanonical", 0x175, NONCANONICAL, 1, none }, { "sysenter eip.noncanonical", 0x176, NONCANONICAL, 1, none },
    { "pat.type 2", 0x277, 0x0007040600070402, 1, none }, { "pat.type 8", 0x277, 0x0807040600070406, 1, none }, { "pat", 0x277, 0x0007010600070406, 0, 0 },
    { "star", 0xc0000081, 0x123456789abcdef0, 0, 0 }, { "unknown msr", 0x12345678, 0, 1, "TCG knows no unknown MSRs: SDM vol. 2B WRMSR" },
    { "unknown msr 2", 0xc0000200, 0, 1, "TCG knows no unknown MSRs: SDM vol. 2B WRMSR" },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (!ours && i == 0) continue;
    begin(rows[i].name);
    u64 old = rows[i].index == 0x12345678 || rows[i].index == 0xc0000200 ? 0 : rdmsr(rows[i].index);
    kernel(wrmsrI)->r[RCX] = rows[i].index | 0xabcd00000000;
    ctx.r[RAX] = (u32)rows[i].value | 0x5500000000;
    ctx.r[RDX] = rows[i].value >> 32;
    go();
    if (rows[i].refused) {
      fault(GP, 0, (uptr)wrmsrI);
      tcg(rows[i].why);
      if (rows[i].index != 0x12345678 && rows[i].index != 0xc0000200) eq("unchanged", rdmsr(rows[i].index), old);
    } else {
      eq("vector", cap.vector, DONE);
      eq("value", rdmsr(rows[i].index), rows[i].index == 0xc0000080 && i == 4 ? efer : rows[i].value);
    }
    end();
    if (old) wrmsr(rows[i].index, old);
  }
  begin("unknown msr.read");
  kernel(rdmsrI)->r[RCX] = 0x12345678;
  go();
  fault(GP, 0, (uptr)rdmsrI);
  tcg("TCG knows no unknown MSRs: SDM vol. 2B RDMSR");
  end();
  begin("rdmsr clears the upper halves");
  wrmsr(0xc0000081, 0x123456789abcdef0);
  kernel(rdmsrI)->r[RCX] = 0xc0000081;
  ctx.r[RAX] = ctx.r[RDX] = ~0ull;
  go();
  eq("rax", cap.r[RAX], 0x9abcdef0);
  eq("rdx", cap.r[RDX], 0x12345678);
  end();
  begin("tsc runs and can be set");
  u64 a = rdmsr(0x10);
  for (u32 i = 0; i < 100; i++) asm volatile("nop");
  in8(0x80);
  u64 b = rdmsr(0x10);
  eq("later", b > a, 1);
  tcg("TCG's RDMSR has no TSC");
  wrmsr(0x10, 0x1000000000000);
  eq("set", rdmsr(0x10) >> 40, 0x100);
  end();
}

static void debug(void) {
  u64 cr4 = get_cr4();
  const char *none = "TCG refuses no reserved bits: SDM vol. 3B 17.2";
  begin("dr7.upper half");
  kernel(toDr7)->r[RAX] = 1ull << 32;
  go();
  fault(GP, 0, (uptr)toDr7);
  tcg(none);
  end();
  begin("dr6.upper half");
  kernel(toDr6)->r[RAX] = 1ull << 32;
  go();
  fault(GP, 0, (uptr)toDr6);
  tcg(none);
  end();
  begin("dr0-3 take 64 bits");
  set_dr0(0xffff800012345678);
  set_dr3(0x123456789abcdef0);
  eq("dr0", get_dr0(), 0xffff800012345678);
  eq("dr3", get_dr3(), 0x123456789abcdef0);
  end();
  begin("dr6 fixed bits");
  set_dr6(0);
  eq("zeros", get_dr6(), 0xffff0ff0);
  set_dr6(0xe00f);
  eq("ones", get_dr6(), 0xffffeff0 | 15);
  set_dr6(0);
  end();
  begin("dr7 fixed bits");
  set_dr7(0);
  eq("dr7", get_dr7(), 0x400);
  end();
  kernel(fromDr4);
  faults("dr4 with DE", UD, 0, (uptr)fromDr4);
  kernel(fromDr5);
  faults("dr5 with DE", UD, 0, (uptr)fromDr5);
  set_cr4(cr4 & ~8ull);
  begin("dr4 and dr5 without DE are 6 and 7");
  kernel(fromDr4);
  go();
  eq("vector", cap.vector, DONE);
  eq("dr4", cap.r[RAX], 0xffff0ff0);
  kernel(fromDr5);
  go();
  eq("dr5", cap.r[RAX], 0x400);
  end();
  set_cr4(cr4);
}

static void ports(void) {
  struct row { const char *name; u8 *code; u16 port; int refused; };
  // Free: 0x80..0x8f but 0x84; the map ends with port 0x13f (tss.bits[40] is all ones)
  memset8(tss.bits, 0xff, sizeof tss.bits);
  tss.bits[0x10] = 0x10;
  tss.bits[0x11] = 0;
  static const struct row rows[] = {
    { "port.free", inDx, 0x80, 0 }, { "port.set", inDx, 0x84, 1 }, { "port.beside", inDx, 0x85, 0 }, { "port.word before", inwDx, 0x83, 1 }, { "port.word free", inwDx, 0x82, 0 },
    { "port.long before", inlDx, 0x81, 1 }, { "port.long free", inlDx, 0x80, 0 }, { "port.long over a byte", inlDx, 0x86, 0 }, { "port.long into a set byte", inlDx, 0x8e, 1 },
    { "port.out", outDx, 0x80, 0 }, { "port.out set", outDx, 0x70, 1 }, { "port.beyond the map", inDx, 0x8000, 1 }, { "port.insb set", insb, 0x70, 1 }, { "port.insb", insb, 0x80, 0 },
    { "port.outsb set", outsb, 0x70, 1 }, { "port.imm", inB, 0x80, 0 },
  };
  for (u32 i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin(rows[i].name);
    user(rows[i].code)->r[RDX] = rows[i].port;
    ctx.r[RSI] = ctx.r[RDI] = USER(TOP(ustack));
    go();
    if (rows[i].refused) {
      fault(GP, 0, USER(rows[i].code));
      eq("rdi", cap.r[RDI], ctx.r[RDI]);
    } else eq("vector", cap.vector, DONE);
    end();
  }
  begin("port.the last bit of the map");
  memset8(tss.bits, 0, sizeof tss.bits);
  user(inDx)->r[RDX] = 38 * 8 + 7;
  go();
  eq("vector", cap.vector, DONE);
  user(inDx)->r[RDX] = 39 * 8;
  go();
  eq("two bytes are read", cap.vector, GP);
  end();
  begin("port.IOPL 3");
  memset8(tss.bits, 0xff, sizeof tss.bits);
  user(inDx)->r[RDX] = 0x80;
  ctx.rflags = FLAGS0 | IOPL3;
  go();
  eq("vector", cap.vector, DONE);
  end();
  begin("port.no map");
  tss.iomap = sizeof tss;
  memset8(tss.bits, 0, sizeof tss.bits);
  user(inDx)->r[RDX] = 0x80;
  go();
  fault(GP, 0, USER(inDx));
  end();
  tss.iomap = sizeof tss - sizeof tss.bits;
  memset8(tss.bits, 0xff, sizeof tss.bits);
  begin("port.insb to a missing page");
  map(8, 0);
  kernel(insb)->r[RDX] = 0x80;
  ctx.r[RDI] = PAGE(8);
  go();
  fault(PF, W, (uptr)insb);
  end();
}

void kernel_main(void) {
  init64();
  user3();
  control();
  msrs();
  debug();
  ports();
  finish();
}
