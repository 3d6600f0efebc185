/* The 64-bit half of the harness: contexts, captures, descriptor tables, test pages. See start64.S for the memory map. */
#ifndef LIB64_H
#define LIB64_H
#include "layout.h"
#include "report.h"

struct context {
  u64 r[16];
  u64 rip, cs, rflags, ss, ds, es, fs, gs;
};
struct capture {
  u64 r[16];
  u64 vector, raw, flagsIn, cr2, dr6, csIn, ssIn, ds, es, fs, gs;
  u64 frame[6];
  /** Taken out of the frame by go(). */
  u64 error, rip, cs, rflags, rsp, ss;
};
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { CS64 = 0x08, DS0 = 0x10, CS32 = 0x18, UCS32 = 0x23, UDS = 0x2b, UCS64 = 0x33, TSS_SEL = 0x38, LDT_SEL = 0x48, FREE = 0x58 };
enum { CF = 1, TF = 0x100, IF = 0x200, IOPL3 = 0x3000, NT = 0x4000, RF = 0x10000, AC = 0x40000, FLAGS0 = 2 };
enum { P = 1, W = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (1ull << 63)
enum { DE = 0, DB = 1, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, ACV = 17, XM = 19, TIMER = 0x20, INTU = 0x80, DONE = 0x81 };

struct tss {
  u32 reserved0;
  u64 rsp[3];
  u64 reserved1;
  u64 ist[7];
  u64 reserved2;
  u16 reserved3;
  u16 iomap;
  u8 bits[40];
} __attribute__((packed));

struct capture cap;
u64 gdt[GDT_ENTRIES] = {
  0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff,
};
static u64 ldt[8];
static u64 idt[512];
static struct tss tss __attribute__((aligned(128)));
extern u8 stubs[];
extern u64 test_pml4[512], test_pdpt[512], test_pd0[512], test_pd1[512], test_pd2[512], test_pt[512], test_pd3[512], test_pt2[512];
void run(const struct context *);
void kernel_main(void);
static u8 kstack[2048] __attribute__((aligned(64)));
static u8 ustack[1024] __attribute__((aligned(64)));
static u8 rsp0stack[2048] __attribute__((aligned(64)));
static u8 iststack[2048] __attribute__((aligned(64)));
#define TOP(stack) ((uptr)(stack) + sizeof(stack) - 64)

/** The same memory as privilege 3 sees it. */
#define USER(p) ((uptr)(p) + 0x40000000)
/** Test page n, and a physical frame of RAM that nothing else uses. */
#define PAGE(n) (0x80000000ull + (u64)(n) * 4096)
#define FRAME(n) (0x400000ull + (u64)(n) * 4096)
#define LOW(p) ((void *)(uptr)(p))

/** Code in a place of its own that ends with INT 0x81. NAME_at marks an instruction of interest, NAME_end the INT. */
#define SNIP(name, text) \
  extern u8 name[], name##_at[], name##_next[], name##_end[]; \
  asm(".pushsection .snip, \"ax\"\n.code64\n" #name ":\n" text "\n" #name "_end: int $0x81\n.popsection\n")
#define SNIP32(name, text) \
  extern u8 name[], name##_at[], name##_next[], name##_end[]; \
  asm(".pushsection .snip, \"ax\"\n.code32\n" #name ":\n" text "\n" #name "_end: int $0x81\n.code64\n.popsection\n")

/** A snippet of one instruction. */
#define ONE(name, text) SNIP(name, #name "_at: " text "\n" #name "_next:")

#define REGISTER(name) \
  static inline u64 get_##name(void) { u64 v; asm volatile("movq %%" #name ", %0" : "=r"(v)); return v; } \
  static inline void set_##name(u64 v) { asm volatile("movq %0, %%" #name ::"r"(v) : "memory"); }
REGISTER(cr0) REGISTER(cr2) REGISTER(cr3) REGISTER(cr4) REGISTER(cr8) REGISTER(dr0) REGISTER(dr1) REGISTER(dr2) REGISTER(dr3) REGISTER(dr6) REGISTER(dr7)
static inline u64 rdmsr(u32 i) {
  u32 lo, hi;
  asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(i));
  return lo | (u64)hi << 32;
}
static inline void wrmsr(u32 i, u64 v) { asm volatile("wrmsr" ::"a"((u32)v), "d"((u32)(v >> 32)), "c"(i) : "memory"); }
static void flush(void) {
  u64 cr4 = get_cr4();
  set_cr4(cr4 ^ 0x80);
  set_cr4(cr4);
  set_cr3(get_cr3());
}
/** On our machine a store to a page table is enough; QEMU, like a processor, wants to be told. */
static void invalidate(u64 va) {
  if (!ours) asm volatile("invlpg (%0)" ::"r"(va) : "memory");
}
static void map(u32 page, u64 entry) {
  *(volatile u64 *)&test_pt[page] = entry;
  invalidate(PAGE(page));
}

static void gate(u32 vector, u32 selector, u64 target, u32 type, u32 ist) {
  idt[vector * 2] = (target & 0xffff) | (u64)selector << 16 | (u64)ist << 32 | (u64)type << 40 | (target >> 16 & 0xffff) << 48;
  idt[vector * 2 + 1] = target >> 32;
}
/** Back to an interrupt gate of privilege 0 (3 for INT3, INTO, 0x80 and 0x81). */
static void resetGate(u32 vector) {
  int user = vector == BP || vector == OF || vector == INTU || vector == DONE;
  gate(vector, CS64, (uptr)stubs + vector * 16, user ? 0xee : 0x8e, vector == DF ? 1 : 0);
}
static void loadIdt(u16 limit) {
  struct { u16 limit; u64 base; } __attribute__((packed)) p = { limit, (uptr)idt };
  asm volatile("lidt %0" ::"m"(p));
}
static void loadGdt(u16 limit) {
  struct { u16 limit; u64 base; } __attribute__((packed)) p = { limit, (uptr)gdt };
  asm volatile("lgdt %0" ::"m"(p));
}
static u64 descriptor(u32 base, u32 limit, u32 access, u32 flags) {
  return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}
/** A system descriptor of 16 bytes at a selector. */
static void systemDescriptor(u32 selector, u64 base, u32 limit, u32 access) {
  gdt[selector >> 3] = descriptor((u32)base, limit, access, 0);
  gdt[(selector >> 3) + 1] = base >> 32;
}

static struct context ctx;
static u64 wantRsp, wantCs, wantSs, wantIf;

static struct context *kernel(const void *code) {
  memset8(&ctx, 0, sizeof ctx);
  ctx.rip = (uptr)code;
  ctx.cs = CS64;
  ctx.ss = ctx.ds = ctx.es = DS0;
  ctx.fs = ctx.gs = (u64)-1;
  ctx.rflags = FLAGS0;
  ctx.r[RSP] = TOP(kstack);
  return &ctx;
}
static struct context *user(const void *code) {
  kernel(code);
  ctx.rip = USER(code);
  ctx.cs = UCS64;
  ctx.ss = ctx.ds = ctx.es = UDS;
  ctx.r[RSP] = USER(TOP(ustack));
  return &ctx;
}
/** Compatibility mode at privilege 0 or 3. */
static struct context *compat(const void *code, int privilege) {
  if (privilege) user(code);
  else kernel(code);
  ctx.cs = privilege ? UCS32 : CS32;
  return &ctx;
}
static int hasError(u64 v) { return v == 8 || (v >= 10 && v <= 14) || v == 17; }
/** Runs the context; `cap` has what came of it. */
static void go(void) {
  memset8(&cap, 0xee, sizeof cap);
  asm volatile("" ::: "memory");
  run(&ctx);
  asm volatile("" ::: "memory");
  int e = hasError(cap.vector);
  cap.error = e ? cap.frame[0] : 0;
  cap.rip = cap.frame[e];
  cap.cs = cap.frame[e + 1];
  cap.rflags = cap.frame[e + 2];
  cap.rsp = e ? cap.frame[4] : cap.frame[3];
  cap.ss = e ? cap.frame[5] : cap.frame[4];
  wantRsp = ctx.r[RSP];
  wantCs = ctx.cs;
  wantSs = ctx.ss;
  wantIf = 0;
}
/** The next run goes on where the last one was caught. */
static void resume(void) {
  memcopy(ctx.r, cap.r, sizeof ctx.r);
  ctx.r[RSP] = cap.rsp;
  ctx.rip = cap.rip;
  ctx.cs = cap.cs;
  ctx.ss = cap.ss;
  ctx.rflags = cap.rflags;
}
/** What every delivery must show, beside vector and rip. */
static void delivery(u64 vector, u64 rip, u64 rf) {
  eq("vector", cap.vector, vector);
  eq("rip", cap.rip, rip);
  eq("cs", cap.cs, wantCs);
  eq("ss", cap.ss, wantSs);
  eq("rsp", cap.rsp, wantRsp);
  // TCG never pushes RF as 1 (SDM vol. 3B 17.3.1.1).
  if (ours) eq("RF", cap.rflags >> 16 & 1, rf);
  u32 ist = idt[vector * 2] >> 32 & 7;
  u64 top = ist ? tss.ist[ist - 1] : (cap.cs & 3) ? tss.rsp[0] : cap.rsp;
  eq("frame", cap.raw, (top & ~15ull) - (hasError(vector) ? 48 : 40));
  eq("handler cs", cap.csIn, CS64);
  // TCG empties SS for every IST stack (SDM vol. 2A INT n: only when the privilege changes).
  if (ours || !ist) eq("handler ss", cap.ssIn, (cap.cs & 3) ? 0 : cap.ss);
  eq("handler flags", cap.flagsIn & (TF | NT | RF | IF), wantIf);
}
static void fault(u64 vector, u64 error, u64 rip) {
  delivery(vector, rip, 1);
  // TCG counts IDT entries as 16 bytes in error codes, and never sets EXT (SDM vol. 3A 6.13).
  if (!ours && vector != PF && vector != DF) error = (error & 2 ? (error >> 3) * 16 + 2 : error & ~7ull) | (error & 4);
  // TCG leaves P out of the error code when a reserved bit is set (SDM vol. 3A 4.7).
  if (!ours && vector == PF && (error & 8)) error &= ~1ull;
  eq("error", cap.error, error);
}
static void trap(u64 vector, u64 rip) { delivery(vector, rip, 0); }
/** The snippet went to its end. */
static void done(const void *end) {
  eq("vector", cap.vector, DONE);
  eq("rip", cap.rip, (uptr)end + 2 + ((ctx.cs & 3) == 3 ? 0x40000000 : 0));
}

/** One line for the commonest test. */
static void faults(const char *name, u64 vector, u64 error, u64 rip) {
  begin(name);
  go();
  fault(vector, error, rip);
  end();
}

static void init64(void) {
  detect();
  for (u32 v = 0; v < 256; v++) resetGate(v);
  tss.rsp[0] = TOP(rsp0stack);
  tss.ist[0] = TOP(iststack);
  tss.iomap = sizeof tss - sizeof tss.bits;
  memset8(tss.bits, 0xff, sizeof tss.bits);
  systemDescriptor(TSS_SEL, (uptr)&tss, sizeof tss - 1, 0x89);
  systemDescriptor(LDT_SEL, (uptr)ldt, sizeof ldt - 1, 0x82);
  loadGdt(sizeof gdt - 1);
  loadIdt(sizeof idt - 1);
  asm volatile("ltr %w0" ::"r"(TSS_SEL));
  asm volatile("lldt %w0" ::"r"(LDT_SEL));
  initPic();
}
#endif
