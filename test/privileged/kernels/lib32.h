/* The 32-bit half of the harness. See start32.S; the 64-bit twin is lib64.h. */
#ifndef LIB32_H
#define LIB32_H
#include "report.h"

struct context {
  u32 r[8];
  u32 eip, cs, eflags, ss, ds, es, fs, gs;
};
struct capture {
  u32 r[8];
  u32 vector, raw, flagsIn, cr2, csIn, ssIn, ds, es, fs, gs;
  u32 frame[6];
  u32 dr6;
  /** Taken out of the frame by go(). */
  u32 error, eip, cs, eflags, esp, ss;
};
enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };
enum { CS0 = 0x08, DS0 = 0x10, UCS = 0x23, UDS = 0x2b, TSS_SEL = 0x30, LDT_SEL = 0x38, A1 = 0x40, A2 = 0x48, A3 = 0x50 };
enum { CF = 1, TF = 0x100, IF = 0x200, IOPL3 = 0x3000, NT = 0x4000, RF = 0x10000, AC = 0x40000, FLAGS0 = 2 };
enum { P = 1, W = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
enum { DE = 0, DB = 1, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, ACV = 17, XM = 19, TIMER = 0x20, INTU = 0x80, DONE = 0x81 };

struct tss {
  u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, rest[17];
  u16 trap, iomap;
  u8 bits[40];
} __attribute__((packed));

struct capture cap;
u64 gdt[64] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0, 0x00cffb000000ffff, 0x00cff3000000ffff };
static u64 ldt[8];
static u64 idt[256];
static struct tss tss __attribute__((aligned(128)));
extern u8 stubs[];
void run(const struct context *);
void kernel_main(void);
static u8 kstack[2048] __attribute__((aligned(64)));
static u8 ustack[1024] __attribute__((aligned(64)));
static u8 esp0stack[2048] __attribute__((aligned(64)));
#define TOP(stack) ((uptr)(stack) + sizeof(stack) - 64)

#define SNIP(name, text) \
  extern u8 name[], name##_at[], name##_next[], name##_end[]; \
  asm(".pushsection .snip, \"ax\"\n" #name ":\n" text "\n" #name "_end: int $0x81\n.popsection\n")
#define ONE(name, text) SNIP(name, #name "_at: " text "\n" #name "_next:")

#define REGISTER(name) \
  static inline u32 get_##name(void) { u32 v; asm volatile("movl %%" #name ", %0" : "=r"(v)); return v; } \
  static inline void set_##name(u32 v) { asm volatile("movl %0, %%" #name ::"r"(v) : "memory"); }
REGISTER(cr0) REGISTER(cr2) REGISTER(cr3) REGISTER(cr4) REGISTER(dr0) REGISTER(dr6) REGISTER(dr7)
static inline u64 rdmsr(u32 i) {
  u64 v;
  asm volatile("rdmsr" : "=A"(v) : "c"(i));
  return v;
}
static inline void wrmsr(u32 i, u64 v) { asm volatile("wrmsr" ::"A"(v), "c"(i) : "memory"); }
static void invalidate(u32 va) {
  if (!ours) asm volatile("invlpg (%0)" ::"r"(va) : "memory");
}
static void set(u32 selector, u64 d) { *(volatile u64 *)&gdt[selector >> 3] = d; }
static void gate(u32 vector, u32 selector, u32 target, u32 type) {
  idt[vector] = (target & 0xffff) | (u64)selector << 16 | (u64)type << 40 | (u64)(target >> 16) << 48;
}
static void resetGate(u32 vector) {
  int user = vector == BP || vector == OF || vector == INTU || vector == DONE;
  gate(vector, CS0, (uptr)stubs + vector * 16, user ? 0xee : 0x8e);
}
static void loadTable(void *base, u16 limit, int isIdt) {
  struct { u16 limit; u32 base; } __attribute__((packed)) p = { limit, (uptr)base };
  if (isIdt) asm volatile("lidt %0" ::"m"(p));
  else asm volatile("lgdt %0" ::"m"(p));
}
/** limit in bytes less one, or in pages with flag 8; flags: 4 is B or D. */
static u64 descriptor(u32 base, u32 limit, u32 access, u32 flags) {
  return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static struct context ctx;
static u32 wantEsp, wantCs, wantSs, wantIf;
static struct context *kernel(const void *code) {
  memset8(&ctx, 0, sizeof ctx);
  ctx.eip = (uptr)code;
  ctx.cs = CS0;
  ctx.ss = ctx.ds = ctx.es = ctx.fs = ctx.gs = DS0;
  ctx.eflags = FLAGS0;
  ctx.r[ESP] = TOP(kstack);
  return &ctx;
}
static struct context *user(const void *code) {
  kernel(code);
  ctx.cs = UCS;
  ctx.ss = ctx.ds = ctx.es = ctx.fs = ctx.gs = UDS;
  ctx.r[ESP] = TOP(ustack);
  return &ctx;
}
static int hasError(u32 v) { return v == 8 || (v >= 10 && v <= 14) || v == 17; }
static void go(void) {
  memset8(&cap, 0xee, sizeof cap);
  asm volatile("" ::: "memory");
  run(&ctx);
  asm volatile("" ::: "memory");
  int e = hasError(cap.vector);
  cap.error = e ? cap.frame[0] : 0;
  cap.eip = cap.frame[e];
  cap.cs = cap.frame[e + 1] & 0xffff;
  cap.eflags = cap.frame[e + 2];
  int outer = (cap.cs & 3) > (cap.csIn & 3);
  cap.esp = outer ? (e ? cap.frame[4] : cap.frame[3]) : cap.raw + (e ? 16 : 12);
  cap.ss = (outer ? (e ? cap.frame[5] : cap.frame[4]) : cap.ssIn) & 0xffff;
  wantEsp = ctx.r[ESP];
  wantCs = ctx.cs;
  wantSs = ctx.ss;
  wantIf = 0;
}
static void resume(void) {
  memcopy(ctx.r, cap.r, sizeof ctx.r);
  ctx.r[ESP] = cap.esp;
  ctx.eip = cap.eip;
  ctx.cs = cap.cs;
  ctx.ss = cap.ss;
  ctx.eflags = cap.eflags;
}
static void delivery(u32 vector, u32 eip, u32 rf) {
  eq("vector", cap.vector, vector);
  eq("eip", cap.eip, eip);
  eq("cs", cap.cs, wantCs);
  eq("ss", cap.ss, wantSs);
  eq("esp", cap.esp, wantEsp);
  // TCG never pushes RF as 1 (SDM vol. 3B 17.3.1.1).
  if (ours) eq("RF", cap.eflags >> 16 & 1, rf);
  u32 words = (hasError(vector) ? 4 : 3) + ((cap.cs & 3) ? 2 : 0);
  eq("frame", cap.raw, ((cap.cs & 3) ? tss.esp0 : cap.esp) - words * 4);
  eq("handler cs", cap.csIn, CS0);
  eq("handler ss", cap.ssIn, (cap.cs & 3) ? tss.ss0 : cap.ss);
  eq("handler flags", cap.flagsIn & (TF | NT | RF | IF), wantIf);
}
static void fault(u32 vector, u32 error, u32 eip) {
  delivery(vector, eip, 1);
  // TCG never sets EXT (SDM vol. 3A 6.13), and leaves P out when a reserved bit is set (SDM vol. 3A 4.7).
  if (!ours && vector != PF) error &= ~1u;
  if (!ours && vector == PF && (error & 8)) error &= ~1u;
  eq("error", cap.error, error);
}
static void trap(u32 vector, u32 eip) { delivery(vector, eip, 0); }
static void done(const void *end) {
  eq("vector", cap.vector, DONE);
  eq("eip", cap.eip, (uptr)end + 2);
}
static void faults(const char *name, u32 vector, u32 error, u32 eip) {
  begin(name);
  go();
  fault(vector, error, eip);
  end();
}
static void init32(void) {
  detect();
  for (u32 v = 0; v < 256; v++) resetGate(v);
  tss.esp0 = TOP(esp0stack);
  tss.ss0 = DS0;
  tss.iomap = sizeof tss - sizeof tss.bits;
  memset8(tss.bits, 0xff, sizeof tss.bits);
  set(TSS_SEL, descriptor((uptr)&tss, sizeof tss - 1, 0x89, 0));
  set(LDT_SEL, descriptor((uptr)ldt, sizeof ldt - 1, 0x82, 0));
  loadTable(gdt, sizeof gdt - 1, 0);
  loadTable(idt, sizeof idt - 1, 1);
  asm volatile("ltr %w0" ::"r"(TSS_SEL));
  asm volatile("lldt %w0" ::"r"(LDT_SEL));
  initPic();
}
#endif
