/*
 * The oracle of the x87 and MMX tests: runs single instructions on the host CPU from a chosen FPU state and prints what
 * they did, one case a line. The stored fixtures are its output on an Intel Xeon (Cascade Lake); the live test runs it again.
 *
 *   gcc -O2 -o generate generate.c && ./generate x87|mmx|OPCODE-REG SEED COUNT
 *
 * Each case writes the instruction into an executable page, loads the state with FXRSTOR64, calls the page, and reads
 * the state back with FXSAVE64, neither of which waits for a pending exception.
 *
 * A line:
 *   BYTES FCW FSW FTW REGS MEMORY RAX RFLAGS > SIGNAL FCW FSW FTW REGS MEMORY RAX RFLAGS
 * BYTES      the instruction; a memory operand is [rdi], a general register operand is rax
 * FTW        the abridged tag word (bit i: physical register i is not empty)
 * REGS       `i=SSSSMMMMMMMMMMMMMMMM` joined by commas, physical number, sign and exponent, significand; `-` for none.
 *            On the left, registers not named hold 4000+i 80000000_0000000i; on the right, not named means unchanged
 * MEMORY     hex bytes at [rdi]; on the left the rest up to 112 bytes is 0x5a; on the right `-` means unchanged
 * RAX RFLAGS on the right `-` when unchanged; RFLAGS only OF SF ZF AF PF CF (mask 8d5)
 * SIGNAL     0 none, 4 SIGILL, 8 SIGFPE (an exception was pending)
 * FOP, FIP, FDP are loaded with 123, 11223344, 55667788.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MEMORY 112

typedef struct { uint64_t sig; uint16_t se; } f80;
typedef struct {
  uint16_t fcw, fsw;
  uint8_t ftw;
  f80 reg[8]; /* physical */
  uint8_t mem[MEMORY];
  uint64_t rax, rflags;
} State;

static uint64_t seed;
static uint64_t next(void) { /* splitmix64 */
  uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
static unsigned below(unsigned n) { return (unsigned)((next() >> 32) % n); }

/* ---- operands ---- */

static uint64_t randomSig(void) {
  switch (below(8)) {
    case 0: return 0x8000000000000000ull | (next() << below(64));
    case 1: return ~0ull << below(64) | 0x8000000000000000ull;
    case 2: return (next() & ~0x7ffull) | 0x8000000000000000ull | (0x3ff + below(4));
    case 3: return (next() & ~0xffffffffffull) | 0x8000000000000000ull | (0x7fffffffffull + below(4));
    case 4: return 0x8000000000000000ull | (1ull << below(64)) | (1ull << below(64));
    default: return next() | 0x8000000000000000ull;
  }
}
static f80 make(unsigned se, uint64_t sig) { f80 r = {sig, (uint16_t)se}; return r; }
static f80 special(void) {
  unsigned s = below(2) << 15;
  switch (below(20)) {
    case 0: case 1: return make(s, 0);
    case 2: case 3: return make(s | 0x7fff, 0x8000000000000000ull);
    case 4: return make(s | 0x7fff, next() | 0xc000000000000000ull);
    case 5: return make(s | 0x7fff, (next() & 0x3fffffffffffffffull) | 0x8000000000000001ull);
    case 6: return make(s | 0x7fff, 0xc000000000000000ull);
    case 7: return make(s, next() >> (1 + below(63)));                                     /* denormal */
    case 8: return make(s, next() | 0x8000000000000000ull);                                /* pseudo-denormal */
    case 9: return make(s | (1 + below(0x7ffe)), next() >> 1);                             /* unnormal */
    case 10: return make(s | 0x7fff, next() >> 1);                                         /* pseudo-NaN */
    case 11: return make(s | 0x7fff, 0);                                                   /* pseudo-infinity */
    case 12: return make(s | 0x7ffe, ~0ull << below(64));                                  /* near the largest */
    case 13: return make(s | (1 + below(3)), randomSig());                                 /* near the smallest */
    case 14: return make(s | 0x3fff, 0x8000000000000000ull);
    case 15: return make(s | (0x3fff - below(3)), ~0ull << below(12));
    case 16: return make(s | 0x3fff, 0x8000000000000000ull | (1ull << below(40)));
    case 17: return make(s | (0x7fe0 + below(31)), randomSig());
    case 18: return make(s | (1 + below(0x80)), randomSig());
    default: return make(s, 1ull << below(64));
  }
}
static f80 near(int low, int high) { return make((below(2) << 15) | (0x3fff + low + below(high - low + 1)), randomSig()); }
static f80 integer(void) {
  int e = below(66);
  uint64_t sig = randomSig();
  if (e < 63 && below(2)) sig &= ~0ull << (62 - e); /* an integer or a half */
  return make((below(2) << 15) | (0x3fff + e), sig);
}
static f80 operand(void) {
  switch (below(10)) {
    case 0: case 1: return special();
    case 2: return make((below(2) << 15) | (1 + below(0x7ffe)), randomSig());
    case 3: return integer();
    case 4: return near(-70, 70);
    case 5: return make((below(2) << 15) | (0x3f80 + below(0x100)), randomSig());
    default: return near(-4, 4);
  }
}
static f80 atLeast(unsigned percent, f80 (*draw)(void)) { return below(100) < percent ? draw() : operand(); }
static f80 small(void) { return near(-30, -1); }
static f80 trig(void) {
  if (below(4) == 0) { /* near a multiple of pi / 2 */
    long double x = 1.57079632679489661923132169163975144L * (1 + below(1u << (1 + below(20))));
    f80 r;
    memcpy(&r.sig, &x, 8);
    memcpy(&r.se, (char *)&x + 8, 2);
    r.sig += below(5) - 2;
    r.se |= below(2) << 15;
    return r;
  }
  switch (below(4)) {
    case 0: return near(-34, 0);
    case 1: return near(-2, 2);
    case 2: return near(0, 20);
    default: return near(0, 64);
  }
}
static f80 nearOne(void) {
  uint64_t d = next() >> (1 + below(63));
  return below(2) ? make(0x3fff, 0x8000000000000000ull + d / 2) : make(0x3ffe, ~d | 0x8000000000000000ull);
}
static f80 positive(void) {
  f80 r = below(3) == 0 ? nearOne() : below(2) ? near(-4, 4) : make(1 + below(0x7ffe), randomSig());
  if (below(8) == 0) r.sig = 0x8000000000000000ull;
  r.se &= 0x7fff;
  return r;
}
static f80 scale(void) { return below(2) ? near(0, 14) : integer(); }
static f80 moderate(void) { return near(-20, 20); }
static f80 log1p_(void) { return below(2) ? near(-70, -2) : near(-6, -3); }

static uint64_t narrow64(void) {
  static const uint64_t corner[] = {0, 1, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0x7fefffffffffffff,
    0x10000000000000, 0xfffffffffffff, 0x3ff0000000000000, 0x8000000000000000, 0x7fffffff, 0x8000, 0xffff, 0x80000000, 0x7fffffffffffffff};
  switch (below(5)) {
    case 0: return corner[below(sizeof corner / 8)] | (uint64_t)below(2) << 63;
    case 1: return (next() & 0x800fffffffffffff) | (uint64_t)(0x3ff - 4 + below(9)) << 52;
    case 2: return next() >> below(64);
    default: return next();
  }
}
static uint32_t narrow32(void) {
  static const uint32_t corner[] = {0, 1, 0x7f800000, 0x7fc00000, 0x7f800001, 0x7f7fffff, 0x800000, 0x7fffff, 0x3f800000, 0x80000000};
  switch (below(4)) {
    case 0: return corner[below(10)] | below(2) << 31;
    case 1: return (next() & 0x807fffff) | (0x7f - 4 + below(9)) << 23;
    default: return (uint32_t)next();
  }
}

/* ---- running one instruction ---- */

static uint8_t *page;
static sigjmp_buf escape;
static void onSignal(int number) { siglongjmp(escape, number); }
static uint8_t image[512] __attribute__((aligned(64)));
static uint8_t operandMemory[4096] __attribute__((aligned(4096)));

static int execute(const uint8_t *bytes, int length, const State *in, State *out) {
  memcpy(page, bytes, length);
  page[length] = 0xc3;
  memset(image, 0, sizeof image);
  *(uint16_t *)(image + 0) = in->fcw;
  *(uint16_t *)(image + 2) = in->fsw;
  image[4] = in->ftw;
  *(uint16_t *)(image + 6) = 0x123;
  *(uint64_t *)(image + 8) = 0x11223344;
  *(uint64_t *)(image + 16) = 0x55667788;
  *(uint32_t *)(image + 24) = 0x1f80;
  unsigned top = in->fsw >> 11 & 7;
  for (int i = 0; i < 8; i++) {
    memcpy(image + 32 + 16 * ((i - top) & 7), &in->reg[i].sig, 8);
    memcpy(image + 40 + 16 * ((i - top) & 7), &in->reg[i].se, 2);
  }
  memcpy(operandMemory, in->mem, MEMORY);
  *out = *in;
  int number = sigsetjmp(escape, 1);
  if (number) {
    __asm__ volatile("fninit");
    return number;
  }
  uint64_t rax = in->rax, rflags = in->rflags | 2;
  __asm__ volatile(
      "fxrstor64 (%[image])\n\t"
      "sub $256, %%rsp\n\t" /* the red zone */
      "push %[rflags]\n\tpopfq\n\t"
      "call *%[page]\n\t"
      "pushfq\n\tpop %[rflags]\n\t"
      "add $256, %%rsp\n\t"
      "fxsave64 (%[image])\n\tfninit\n\tcld"
      : [rflags] "+r"(rflags), "+a"(rax)
      : [image] "r"(image), [page] "r"(page), "D"(operandMemory)
      : "memory", "cc", "rcx", "rdx", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  out->rax = rax;
  out->rflags = rflags & 0x8d5;
  out->fcw = *(uint16_t *)(image + 0);
  out->fsw = *(uint16_t *)(image + 2);
  out->ftw = image[4];
  top = out->fsw >> 11 & 7;
  for (int i = 0; i < 8; i++) {
    memcpy(&out->reg[i].sig, image + 32 + 16 * ((i - top) & 7), 8);
    memcpy(&out->reg[i].se, image + 40 + 16 * ((i - top) & 7), 2);
  }
  memcpy(out->mem, operandMemory, MEMORY);
  return 0;
}

/* ---- printing ---- */

static f80 usual(int i) { return make(0x4000 + i, 0x8000000000000000ull | i); }
static int same(f80 a, f80 b) { return a.sig == b.sig && a.se == b.se; }
static void printRegs(const f80 *reg, const f80 *base) {
  int count = 0;
  for (int i = 0; i < 8; i++)
    if (!same(reg[i], base ? base[i] : usual(i))) printf("%s%d=%04x%016lx", count++ ? "," : " ", i, reg[i].se, reg[i].sig);
  if (!count) printf(" -");
}
static void printMem(const uint8_t *mem, const uint8_t *base) {
  int length = MEMORY;
  while (length && mem[length - 1] == (base ? base[length - 1] : 0x5a)) length--;
  if (base && memcmp(mem, base, MEMORY) == 0) length = 0;
  printf(length ? " " : " -");
  for (int i = 0; i < length; i++) printf("%02x", mem[i]);
}
static void print(const uint8_t *bytes, int length, const State *in, int number, const State *out) {
  for (int i = 0; i < length; i++) printf("%02x", bytes[i]);
  printf(" %x %x %x", in->fcw, in->fsw, in->ftw);
  printRegs(in->reg, 0);
  printMem(in->mem, 0);
  printf(" %lx %lx > %d %x %x %x", in->rax, in->rflags, number, out->fcw, out->fsw, out->ftw);
  printRegs(out->reg, in->reg);
  printMem(out->mem, in->mem);
  if (out->rax == in->rax) printf(" -"); else printf(" %lx", out->rax);
  if (out->rflags == in->rflags) printf(" -\n"); else printf(" %lx\n", out->rflags);
}

/* ---- cases ---- */

static void emptyState(State *s) {
  memset(s, 0, sizeof *s);
  for (int i = 0; i < 8; i++) s->reg[i] = usual(i);
  memset(s->mem, 0x5a, MEMORY);
  s->rax = 0x1122334455667788ull;
  s->rflags = 0;
}

static void x87Case(int opcode, int reg, int rm /* -1: memory, -2: choose */) {
  State in, out;
  uint8_t bytes[4];
  int length = 0;
  emptyState(&in);
  if (opcode < 0) {
    opcode = below(8);
    reg = below(8);
    if (below(4) == 0) { opcode = 1; reg = 4 + below(4); rm = below(8); } /* D9 E0..FF, where most is */
  }
  if (rm == -2) rm = below(9) < 5 ? -1 : (int)below(8);
  int isMem = rm < 0;

  in.fcw = 0x37f;
  if (below(2)) in.fcw = (in.fcw & 0xff) | below(4) << 10 | (below(3) ? 3 : below(4)) << 8;
  if (below(5) == 0) in.fcw = (in.fcw & ~0x3f) | below(64);
  else if (below(6) == 0) in.fcw &= ~(1 << below(6));
  in.fsw = below(2) ? 0x3800 : below(0x10000) & 0x7f00;
  if (below(3) == 0) in.fsw |= below(64) & in.fcw & 0x3f;
  if (below(100) == 0) in.fsw |= below(128);
  if (in.fsw & ~in.fcw & 0x3f) in.fsw |= 0x8080;
  int top = in.fsw >> 11 & 7;
  in.ftw = below(12) ? 0xff & ~(1 << ((top + 7) & 7)) : below(256);
  if (below(12) == 0) in.ftw = 0xff;
  if (below(20) == 0) in.ftw &= ~(1 << top);
  if (below(4) == 0) in.rflags = next() & 0x8d5;

  f80 *st0 = &in.reg[top], *st1 = &in.reg[(top + 1) & 7];
  *st0 = operand();
  if (isMem) {
    if (below(3) == 0) *st1 = operand();
  } else if (below(2) || (opcode == 1 && reg >= 4)) {
    in.reg[(top + (opcode == 1 && reg >= 4 ? 1 : rm)) & 7] = operand();
  }
  if (below(5) == 0 && !isMem) { /* close or equal operands */
    f80 *other = &in.reg[(top + rm) & 7];
    *other = *st0;
    if (below(2)) other->sig += below(3) - 1;
    if (below(2)) other->se ^= 0x8000;
    if (below(4) == 0) other->se += below(3) - 1;
  }
  if (!isMem && opcode == 1 && reg >= 6) {
    switch ((reg - 6) * 8 + rm) {
      case 0: *st0 = atLeast(80, small); break;                                   /* F2XM1 */
      case 1: *st0 = atLeast(80, positive); *st1 = atLeast(70, moderate); break;  /* FYL2X */
      case 2: case 11: case 14: case 15: *st0 = atLeast(80, trig); break;
      case 3: *st0 = atLeast(60, moderate); *st1 = atLeast(60, moderate); break;  /* FPATAN */
      case 4: break;
      case 5: case 8: /* FPREM1, FPREM */
        if (below(3) == 0) { st0->se = (st0->se & 0x8000) | ((st1->se + below(140) - 4) & 0x7fff); }
        break;
      case 9: *st0 = atLeast(80, log1p_); *st1 = atLeast(70, moderate); break;    /* FYL2XP1 */
      case 12: *st0 = atLeast(70, integer); break;
      case 13: *st1 = atLeast(80, scale); break;
    }
  }
  if (isMem) {
    int kind = opcode * 8 + reg;
    f80 wide = operand();
    uint64_t n64 = narrow64();
    uint32_t n32 = narrow32();
    switch (opcode) {
      case 0: case 1: memcpy(in.mem, &n32, 4); break;
      case 4: case 5: memcpy(in.mem, &n64, 8); break;
      case 2: case 3: case 6: case 7: memcpy(in.mem, &n64, 8); if (opcode == 6) memset(in.mem + 2, 0x5a, 6); break;
    }
    if (kind == 3 * 8 + 5) { memcpy(in.mem, &wide.sig, 8); memcpy(in.mem + 8, &wide.se, 2); }
    if (kind == 1 * 8 + 2 || kind == 1 * 8 + 3) { if (below(2)) *st0 = make((below(2) << 15) | (0x3fff - 0x98 + below(0x120)), randomSig()); }
    if (kind == 5 * 8 + 2 || kind == 5 * 8 + 3) { if (below(2)) *st0 = make((below(2) << 15) | (below(2) ? 0x3fff - 0x440 + below(0x60) : 0x3fff + 0x3f0 + below(0x20)), randomSig()); }
    if ((opcode & 1) && reg >= 1 && reg <= 3 && below(2)) *st0 = integer();
    if (opcode == 7 && below(2) && reg != 5) *st0 = integer();
    if (kind == 7 * 8 + 4) { /* FBLD */
      for (int i = 0; i < 10; i++) in.mem[i] = below(20) ? below(10) << 4 | below(10) : below(256);
      if (below(2)) in.mem[9] = below(2) << 7;
    }
    if (kind == 7 * 8 + 6) *st0 = below(3) ? near(0, 62) : operand();
    if (kind == 1 * 8 + 5) { uint16_t w = below(3) ? 0x37f ^ (below(4) << 10) : next(); memcpy(in.mem, &w, 2); }
    if (kind == 1 * 8 + 4 || kind == 5 * 8 + 4) { /* FLDENV, FRSTOR */
      for (int i = 0; i < MEMORY; i++) in.mem[i] = next();
      if (below(8)) { in.mem[0] |= 0x7f; }
    }
    if ((kind == 1 * 8 + 4 || kind == 1 * 8 + 6 || kind == 5 * 8 + 4 || kind == 5 * 8 + 6) && below(3) == 0) bytes[length++] = 0x66;
  }
  bytes[length++] = 0xd8 + opcode;
  bytes[length++] = isMem ? reg << 3 | 7 : 0xc0 | reg << 3 | rm;
  int number = execute(bytes, length, &in, &out);
  print(bytes, length, &in, number, &out);
}

static const char *const mmxCodes =
    "0f60 0f61 0f62 0f63 0f64 0f65 0f66 0f67 0f68 0f69 0f6a 0f6b 0f6e W0f6e 0f6f 0f74 0f75 0f76 E0f77 0f7e W0f7e 0f7f I0f70 "
    "S0f71 S0f72 S0f73 I0fc4 R0fc5 0fd1 0fd2 0fd3 0fd4 0fd5 R0fd7 0fd8 0fd9 0fda 0fdb 0fdc 0fdd 0fde 0fdf 0fe0 0fe1 0fe2 0fe3 "
    "0fe4 0fe5 M0fe7 0fe8 0fe9 0fea 0feb 0fec 0fed 0fee 0fef 0ff1 0ff2 0ff3 0ff4 0ff5 0ff6 N0ff7 0ff8 0ff9 0ffa 0ffb 0ffc 0ffd "
    "0ffe 0f3800 0f3801 0f3802 0f3803 0f3804 0f3805 0f3806 0f3807 0f3808 0f3809 0f380a 0f380b 0f381c 0f381d 0f381e I0f3a0f";

static uint64_t lanes(void) {
  static const uint64_t corner[] = {0, ~0ull, 0x8000800080008000, 0x7fff7fff7fff7fff, 0x8080808080808080, 0x7f7f7f7f7f7f7f7f,
    0x8000000080000000, 0x7fffffff7fffffff, 0x0102030405060708, 1};
  switch (below(4)) {
    case 0: return corner[below(10)];
    case 1: return next() & next() & next();
    default: return next();
  }
}

static void mmxCase(void) {
  static char codes[128][8];
  static int count;
  if (!count) {
    const char *p = mmxCodes;
    while (*p) {
      int n = 0;
      while (*p && *p != ' ') codes[count][n++] = *p++;
      codes[count++][n] = 0;
      while (*p == ' ') p++;
    }
  }
  State in, out;
  uint8_t bytes[8];
  int length = 0;
  emptyState(&in);
  const char *code = codes[below(count)];
  char kind = 0;
  if (*code >= 'A' && *code <= 'Z') kind = *code++;
  in.fcw = 0x37f;
  in.fsw = below(0x10000) & 0x7f7f & ~(below(50) ? 0x40 : 0);
  if (below(60) == 0) { in.fcw &= ~(1 << below(6)); if (in.fsw & ~in.fcw & 0x3f) in.fsw |= 0x8080; }
  in.ftw = below(256);
  in.rax = lanes();
  int reg = below(8), rm = below(8), isMem = below(2);
  if (kind == 'S') { static const int sub[] = {2, 4, 6}; isMem = 0; reg = sub[below(3)]; if (code[3] == '2' && 0) reg = 2; if (code[3] == '3') reg = below(2) ? 2 : 6; }
  if (kind == 'R' || kind == 'N') isMem = 0;
  if (kind == 'M') isMem = 1;
  int op = strtol(code + 2, 0, 16);
  int gpr = op == 0x6e || op == 0x7e || op == 0xc4;
  if (gpr && !isMem) rm = 0;
  if (op == 0xc5 || op == 0xd7) reg = 0;
  in.reg[reg] = make(next(), lanes());
  in.reg[rm] = make(next(), lanes());
  int isShift = (op >= 0xd1 && op <= 0xd3) || op == 0xe1 || op == 0xe2 || (op >= 0xf1 && op <= 0xf3);
  uint64_t value = isShift && below(4) ? below(70) : lanes();
  memcpy(in.mem, &value, 8);
  if (isShift && below(4) && reg != rm) in.reg[rm].sig = below(70);
  if (kind == 'W') bytes[length++] = 0x48;
  for (const char *p = code; *p; p += 2) { unsigned b; sscanf(p, "%2x", &b); bytes[length++] = b; }
  if (kind != 'E') bytes[length++] = isMem ? reg << 3 | 7 : 0xc0 | reg << 3 | rm;
  if (kind == 'I' || kind == 'S' || op == 0xc5) bytes[length++] = kind == 'S' ? below(70) : op == 0x3a0f ? below(24) : next();
  int number = execute(bytes, length, &in, &out);
  print(bytes, length, &in, number, &out);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: generate x87|mmx|D9-f2|D9-5 SEED COUNT\n");
    return 2;
  }
  seed = strtoull(argv[2], 0, 10);
  long count = strtol(argv[3], 0, 10);
  page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  signal(SIGILL, onSignal);
  signal(SIGFPE, onSignal);
  for (long i = 0; i < count; i++) {
    if (!strcmp(argv[1], "mmx")) mmxCase();
    else if (!strcmp(argv[1], "x87")) x87Case(-1, -1, -2);
    else { /* D9-F2: that register form; D9-5: the memory form with reg 5 */
      int opcode = (int)strtol(argv[1], 0, 16) - 0xd8, sub = (int)strtol(argv[1] + 3, 0, 16);
      if (sub >= 0xc0) x87Case(opcode, sub >> 3 & 7, sub & 7); else x87Case(opcode, sub, -1);
    }
  }
  return 0;
}
