/*
 * Executes every SSE to SSE4.2 instruction form on the host CPU and writes what it did.
 *
 *   generate --text SEED N      N cases a form as text lines (the fixtures)
 *   generate --binary SEED N    N cases a form as records (live comparison); struct record below, no header
 *   generate --exists           one byte for each (id, reg, memory): 0 #UD, 1 exists, 2 not tried
 *
 * gcc -O2 -o generate generate.c; needs x86-64 with SSE4.2, Linux.
 *
 * A case: registers and memory are loaded from `in`, one instruction runs (patched into a page, followed by RET), and
 * everything is stored into `out`. A signal handler notes the trap and continues behind the instruction.
 *
 *   reg field = 1 (or the number of a group), rm field = 2 (1 in a group): xmm1/xmm2, rcx/rdx, mm1/mm2; memory operand (rdi)
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;

struct state {
  u8 xmm[3][16];
  u64 gpr[3];          /* rax rcx rdx */
  u64 mm[2];           /* mm1 mm2 */
  u32 mxcsr, flags;
  u8 mem[32];
};
struct record {
  u32 id;
  u8 rexw, isMem, imm, reg, rm, offset, trap, unused;
  u32 form;            /* index into forms */
  struct state in, out;
};
_Static_assert(sizeof(struct state) == 128, "");
_Static_assert(sizeof(struct record) == 272, "");

/* ---- the forms ---- */

enum { M0 = 0, M38 = 1, M3A = 2 };
enum { PN = 0, P66 = 1, PF3 = 2, PF2 = 3 };
/* which operands matter, so that the text lines stay short */
enum { X0 = 1, X1 = 2, X2 = 4, RA = 8, RC = 16, RD = 32, MM1 = 64, MM2 = 128, MX = 256, ME = 512, FL = 1024 };
enum { REG = 1, MEM = 2, BOTH = 3 };
enum { NOIMM = 0, IMM = 1 };

struct form { const char *name; int map, prefix, opcode, w, forms, imm, group; char kind; u32 uses; };
/* kind of the operands: s f32, d f64, b w l q integers, i f-conversion source int, t text for PCMPxSTRx, z anything */
#define F(name, map, prefix, opcode, w, forms, imm, kind, uses) { name, map, prefix, opcode, w, forms, imm, -1, kind, uses },
#define G(name, opcode, group) { name, M0, P66, opcode, 0, REG, IMM, group, 'z', X1 },
/* four prefixes of one floating point opcode */
#define FOUR(name, op) \
  F(name "PS", M0, PN, op, 0, BOTH, 0, 's', X1 | X2 | MX) F(name "PD", M0, P66, op, 0, BOTH, 0, 'd', X1 | X2 | MX) \
  F(name "SS", M0, PF3, op, 0, BOTH, 0, 's', X1 | X2 | MX) F(name "SD", M0, PF2, op, 0, BOTH, 0, 'd', X1 | X2 | MX)
#define INT(name, op, kind) F(name, M0, P66, op, 0, BOTH, 0, kind, X1 | X2)
#define I38(name, op, kind) F(name, M38, P66, op, 0, BOTH, 0, kind, X1 | X2)

static const struct form forms[] = {
  /* moves */
  F("MOVUPS", M0, PN, 0x10, 0, BOTH, 0, 'z', X1 | X2) F("MOVUPD", M0, P66, 0x10, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVSS", M0, PF3, 0x10, 0, BOTH, 0, 'z', X1 | X2) F("MOVSD", M0, PF2, 0x10, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVUPS.st", M0, PN, 0x11, 0, BOTH, 0, 'z', X1 | X2) F("MOVUPD.st", M0, P66, 0x11, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVSS.st", M0, PF3, 0x11, 0, BOTH, 0, 'z', X1 | X2) F("MOVSD.st", M0, PF2, 0x11, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVLPS", M0, PN, 0x12, 0, BOTH, 0, 'z', X1 | X2) F("MOVLPD", M0, P66, 0x12, 0, MEM, 0, 'z', X1)
  F("MOVSLDUP", M0, PF3, 0x12, 0, BOTH, 0, 'z', X1 | X2) F("MOVDDUP", M0, PF2, 0x12, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVLPS.st", M0, PN, 0x13, 0, MEM, 0, 'z', X1) F("MOVLPD.st", M0, P66, 0x13, 0, MEM, 0, 'z', X1)
  F("UNPCKLPS", M0, PN, 0x14, 0, BOTH, 0, 'z', X1 | X2) F("UNPCKLPD", M0, P66, 0x14, 0, BOTH, 0, 'z', X1 | X2)
  F("UNPCKHPS", M0, PN, 0x15, 0, BOTH, 0, 'z', X1 | X2) F("UNPCKHPD", M0, P66, 0x15, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVHPS", M0, PN, 0x16, 0, BOTH, 0, 'z', X1 | X2) F("MOVHPD", M0, P66, 0x16, 0, MEM, 0, 'z', X1)
  F("MOVSHDUP", M0, PF3, 0x16, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVHPS.st", M0, PN, 0x17, 0, MEM, 0, 'z', X1) F("MOVHPD.st", M0, P66, 0x17, 0, MEM, 0, 'z', X1)
  F("MOVAPS", M0, PN, 0x28, 0, BOTH, 0, 'z', X1 | X2) F("MOVAPD", M0, P66, 0x28, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVAPS.st", M0, PN, 0x29, 0, BOTH, 0, 'z', X1 | X2) F("MOVAPD.st", M0, P66, 0x29, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVNTPS", M0, PN, 0x2b, 0, MEM, 0, 'z', X1) F("MOVNTPD", M0, P66, 0x2b, 0, MEM, 0, 'z', X1)
  F("MOVMSKPS", M0, PN, 0x50, 0, REG, 0, 'z', X2 | RC) F("MOVMSKPD", M0, P66, 0x50, 0, REG, 0, 'z', X2 | RC)
  F("MOVD", M0, P66, 0x6e, 0, BOTH, 0, 'z', X1 | RD) F("MOVQ", M0, P66, 0x6e, 1, BOTH, 0, 'z', X1 | RD)
  F("MOVD.st", M0, P66, 0x7e, 0, BOTH, 0, 'z', X1 | RD) F("MOVQ.st", M0, P66, 0x7e, 1, BOTH, 0, 'z', X1 | RD)
  F("MOVQ.F3", M0, PF3, 0x7e, 0, BOTH, 0, 'z', X1 | X2) F("MOVQ.D6", M0, P66, 0xd6, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVDQA", M0, P66, 0x6f, 0, BOTH, 0, 'z', X1 | X2) F("MOVDQU", M0, PF3, 0x6f, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVDQA.st", M0, P66, 0x7f, 0, BOTH, 0, 'z', X1 | X2) F("MOVDQU.st", M0, PF3, 0x7f, 0, BOTH, 0, 'z', X1 | X2)
  F("MOVNTI", M0, PN, 0xc3, 0, MEM, 0, 'z', RC) F("MOVNTI.q", M0, PN, 0xc3, 1, MEM, 0, 'z', RC)
  F("MOVNTDQ", M0, P66, 0xe7, 0, MEM, 0, 'z', X1) F("LDDQU", M0, PF2, 0xf0, 0, MEM, 0, 'z', X1)
  F("MASKMOVDQU", M0, P66, 0xf7, 0, REG, 0, 'z', X1 | X2 | ME) F("PMOVMSKB", M0, P66, 0xd7, 0, REG, 0, 'z', X2 | RC)
  F("MOVNTDQA", M38, P66, 0x2a, 0, MEM, 0, 'z', X1)
  F("MOVQ2DQ", M0, PF3, 0xd6, 0, REG, 0, 'z', X1 | MM2) F("MOVDQ2Q", M0, PF2, 0xd6, 0, REG, 0, 'z', X2 | MM1)
  /* floating point */
  FOUR("SQRT", 0x51) FOUR("ADD", 0x58) FOUR("MUL", 0x59) FOUR("SUB", 0x5c) FOUR("MIN", 0x5d) FOUR("DIV", 0x5e) FOUR("MAX", 0x5f)
  F("ANDPS", M0, PN, 0x54, 0, BOTH, 0, 'z', X1 | X2) F("ANDPD", M0, P66, 0x54, 0, BOTH, 0, 'z', X1 | X2)
  F("ANDNPS", M0, PN, 0x55, 0, BOTH, 0, 'z', X1 | X2) F("ANDNPD", M0, P66, 0x55, 0, BOTH, 0, 'z', X1 | X2)
  F("ORPS", M0, PN, 0x56, 0, BOTH, 0, 'z', X1 | X2) F("ORPD", M0, P66, 0x56, 0, BOTH, 0, 'z', X1 | X2)
  F("XORPS", M0, PN, 0x57, 0, BOTH, 0, 'z', X1 | X2) F("XORPD", M0, P66, 0x57, 0, BOTH, 0, 'z', X1 | X2)
  F("CMPPS", M0, PN, 0xc2, 0, BOTH, IMM, 's', X1 | X2 | MX) F("CMPPD", M0, P66, 0xc2, 0, BOTH, IMM, 'd', X1 | X2 | MX)
  F("CMPSS", M0, PF3, 0xc2, 0, BOTH, IMM, 's', X1 | X2 | MX) F("CMPSD", M0, PF2, 0xc2, 0, BOTH, IMM, 'd', X1 | X2 | MX)
  F("SHUFPS", M0, PN, 0xc6, 0, BOTH, IMM, 'z', X1 | X2) F("SHUFPD", M0, P66, 0xc6, 0, BOTH, IMM, 'z', X1 | X2)
  F("UCOMISS", M0, PN, 0x2e, 0, BOTH, 0, 's', X1 | X2 | MX | FL) F("UCOMISD", M0, P66, 0x2e, 0, BOTH, 0, 'd', X1 | X2 | MX | FL)
  F("COMISS", M0, PN, 0x2f, 0, BOTH, 0, 's', X1 | X2 | MX | FL) F("COMISD", M0, P66, 0x2f, 0, BOTH, 0, 'd', X1 | X2 | MX | FL)
  F("HADDPD", M0, P66, 0x7c, 0, BOTH, 0, 'd', X1 | X2 | MX) F("HADDPS", M0, PF2, 0x7c, 0, BOTH, 0, 's', X1 | X2 | MX)
  F("HSUBPD", M0, P66, 0x7d, 0, BOTH, 0, 'd', X1 | X2 | MX) F("HSUBPS", M0, PF2, 0x7d, 0, BOTH, 0, 's', X1 | X2 | MX)
  F("ADDSUBPD", M0, P66, 0xd0, 0, BOTH, 0, 'd', X1 | X2 | MX) F("ADDSUBPS", M0, PF2, 0xd0, 0, BOTH, 0, 's', X1 | X2 | MX)
  F("ROUNDPS", M3A, P66, 0x08, 0, BOTH, IMM, 's', X1 | X2 | MX) F("ROUNDPD", M3A, P66, 0x09, 0, BOTH, IMM, 'd', X1 | X2 | MX)
  F("ROUNDSS", M3A, P66, 0x0a, 0, BOTH, IMM, 's', X1 | X2 | MX) F("ROUNDSD", M3A, P66, 0x0b, 0, BOTH, IMM, 'd', X1 | X2 | MX)
  F("DPPS", M3A, P66, 0x40, 0, BOTH, IMM, 's', X1 | X2 | MX) F("DPPD", M3A, P66, 0x41, 0, BOTH, IMM, 'd', X1 | X2 | MX)
  /* the approximations: written too, compared by relative error and special values only */
  F("RSQRTPS", M0, PN, 0x52, 0, BOTH, 0, 's', X1 | X2 | MX) F("RSQRTSS", M0, PF3, 0x52, 0, BOTH, 0, 's', X1 | X2 | MX)
  F("RCPPS", M0, PN, 0x53, 0, BOTH, 0, 's', X1 | X2 | MX) F("RCPSS", M0, PF3, 0x53, 0, BOTH, 0, 's', X1 | X2 | MX)
  /* conversions */
  F("CVTPI2PS", M0, PN, 0x2a, 0, BOTH, 0, 'i', X1 | MM2 | MX) F("CVTPI2PD", M0, P66, 0x2a, 0, BOTH, 0, 'i', X1 | MM2 | MX)
  F("CVTSI2SS", M0, PF3, 0x2a, 0, BOTH, 0, 'i', X1 | RD | MX) F("CVTSI2SS.q", M0, PF3, 0x2a, 1, BOTH, 0, 'i', X1 | RD | MX)
  F("CVTSI2SD", M0, PF2, 0x2a, 0, BOTH, 0, 'i', X1 | RD | MX) F("CVTSI2SD.q", M0, PF2, 0x2a, 1, BOTH, 0, 'i', X1 | RD | MX)
  F("CVTTPS2PI", M0, PN, 0x2c, 0, BOTH, 0, 's', X2 | MM1 | MX) F("CVTTPD2PI", M0, P66, 0x2c, 0, BOTH, 0, 'd', X2 | MM1 | MX)
  F("CVTPS2PI", M0, PN, 0x2d, 0, BOTH, 0, 's', X2 | MM1 | MX) F("CVTPD2PI", M0, P66, 0x2d, 0, BOTH, 0, 'd', X2 | MM1 | MX)
  F("CVTTSS2SI", M0, PF3, 0x2c, 0, BOTH, 0, 's', X2 | RC | MX) F("CVTTSS2SI.q", M0, PF3, 0x2c, 1, BOTH, 0, 's', X2 | RC | MX)
  F("CVTTSD2SI", M0, PF2, 0x2c, 0, BOTH, 0, 'd', X2 | RC | MX) F("CVTTSD2SI.q", M0, PF2, 0x2c, 1, BOTH, 0, 'd', X2 | RC | MX)
  F("CVTSS2SI", M0, PF3, 0x2d, 0, BOTH, 0, 's', X2 | RC | MX) F("CVTSS2SI.q", M0, PF3, 0x2d, 1, BOTH, 0, 's', X2 | RC | MX)
  F("CVTSD2SI", M0, PF2, 0x2d, 0, BOTH, 0, 'd', X2 | RC | MX) F("CVTSD2SI.q", M0, PF2, 0x2d, 1, BOTH, 0, 'd', X2 | RC | MX)
  F("CVTPS2PD", M0, PN, 0x5a, 0, BOTH, 0, 's', X1 | X2 | MX) F("CVTPD2PS", M0, P66, 0x5a, 0, BOTH, 0, 'd', X1 | X2 | MX)
  F("CVTSS2SD", M0, PF3, 0x5a, 0, BOTH, 0, 's', X1 | X2 | MX) F("CVTSD2SS", M0, PF2, 0x5a, 0, BOTH, 0, 'd', X1 | X2 | MX)
  F("CVTDQ2PS", M0, PN, 0x5b, 0, BOTH, 0, 'i', X1 | X2 | MX) F("CVTPS2DQ", M0, P66, 0x5b, 0, BOTH, 0, 's', X1 | X2 | MX)
  F("CVTTPS2DQ", M0, PF3, 0x5b, 0, BOTH, 0, 's', X1 | X2 | MX)
  F("CVTTPD2DQ", M0, P66, 0xe6, 0, BOTH, 0, 'd', X1 | X2 | MX) F("CVTDQ2PD", M0, PF3, 0xe6, 0, BOTH, 0, 'i', X1 | X2 | MX)
  F("CVTPD2DQ", M0, PF2, 0xe6, 0, BOTH, 0, 'd', X1 | X2 | MX)
  /* integer, SSE2 */
  INT("PUNPCKLBW", 0x60, 'z') INT("PUNPCKLWD", 0x61, 'z') INT("PUNPCKLDQ", 0x62, 'z') INT("PACKSSWB", 0x63, 'w')
  INT("PCMPGTB", 0x64, 'b') INT("PCMPGTW", 0x65, 'w') INT("PCMPGTD", 0x66, 'l') INT("PACKUSWB", 0x67, 'w')
  INT("PUNPCKHBW", 0x68, 'z') INT("PUNPCKHWD", 0x69, 'z') INT("PUNPCKHDQ", 0x6a, 'z') INT("PACKSSDW", 0x6b, 'l')
  INT("PUNPCKLQDQ", 0x6c, 'z') INT("PUNPCKHQDQ", 0x6d, 'z')
  F("PSHUFD", M0, P66, 0x70, 0, BOTH, IMM, 'z', X1 | X2) F("PSHUFHW", M0, PF3, 0x70, 0, BOTH, IMM, 'z', X1 | X2)
  F("PSHUFLW", M0, PF2, 0x70, 0, BOTH, IMM, 'z', X1 | X2)
  G("PSRLW.i", 0x71, 2) G("PSRAW.i", 0x71, 4) G("PSLLW.i", 0x71, 6) G("PSRLD.i", 0x72, 2) G("PSRAD.i", 0x72, 4) G("PSLLD.i", 0x72, 6)
  G("PSRLQ.i", 0x73, 2) G("PSRLDQ", 0x73, 3) G("PSLLQ.i", 0x73, 6) G("PSLLDQ", 0x73, 7)
  INT("PCMPEQB", 0x74, 'b') INT("PCMPEQW", 0x75, 'w') INT("PCMPEQD", 0x76, 'l')
  F("PINSRW", M0, P66, 0xc4, 0, BOTH, IMM, 'z', X1 | RD) F("PEXTRW", M0, P66, 0xc5, 0, REG, IMM, 'z', X2 | RC)
  INT("PSRLW", 0xd1, 'c') INT("PSRLD", 0xd2, 'c') INT("PSRLQ", 0xd3, 'c') INT("PADDQ", 0xd4, 'q') INT("PMULLW", 0xd5, 'w')
  INT("PSUBUSB", 0xd8, 'b') INT("PSUBUSW", 0xd9, 'w') INT("PMINUB", 0xda, 'b') INT("PAND", 0xdb, 'z') INT("PADDUSB", 0xdc, 'b')
  INT("PADDUSW", 0xdd, 'w') INT("PMAXUB", 0xde, 'b') INT("PANDN", 0xdf, 'z') INT("PAVGB", 0xe0, 'b') INT("PSRAW", 0xe1, 'c')
  INT("PSRAD", 0xe2, 'c') INT("PAVGW", 0xe3, 'w') INT("PMULHUW", 0xe4, 'w') INT("PMULHW", 0xe5, 'w') INT("PSUBSB", 0xe8, 'b')
  INT("PSUBSW", 0xe9, 'w') INT("PMINSW", 0xea, 'w') INT("POR", 0xeb, 'z') INT("PADDSB", 0xec, 'b') INT("PADDSW", 0xed, 'w')
  INT("PMAXSW", 0xee, 'w') INT("PXOR", 0xef, 'z') INT("PSLLW", 0xf1, 'c') INT("PSLLD", 0xf2, 'c') INT("PSLLQ", 0xf3, 'c')
  INT("PMULUDQ", 0xf4, 'l') INT("PMADDWD", 0xf5, 'w') INT("PSADBW", 0xf6, 'b') INT("PSUBB", 0xf8, 'b') INT("PSUBW", 0xf9, 'w')
  INT("PSUBD", 0xfa, 'l') INT("PSUBQ", 0xfb, 'q') INT("PADDB", 0xfc, 'b') INT("PADDW", 0xfd, 'w') INT("PADDD", 0xfe, 'l')
  /* SSSE3, SSE4 */
  I38("PSHUFB", 0x00, 'b') I38("PHADDW", 0x01, 'w') I38("PHADDD", 0x02, 'l') I38("PHADDSW", 0x03, 'w') I38("PMADDUBSW", 0x04, 'b')
  I38("PHSUBW", 0x05, 'w') I38("PHSUBD", 0x06, 'l') I38("PHSUBSW", 0x07, 'w') I38("PSIGNB", 0x08, 'b') I38("PSIGNW", 0x09, 'w')
  I38("PSIGND", 0x0a, 'l') I38("PMULHRSW", 0x0b, 'w') I38("PABSB", 0x1c, 'b') I38("PABSW", 0x1d, 'w') I38("PABSD", 0x1e, 'l')
  F("PBLENDVB", M38, P66, 0x10, 0, BOTH, 0, 'z', X0 | X1 | X2) F("BLENDVPS", M38, P66, 0x14, 0, BOTH, 0, 'z', X0 | X1 | X2)
  F("BLENDVPD", M38, P66, 0x15, 0, BOTH, 0, 'z', X0 | X1 | X2) F("PTEST", M38, P66, 0x17, 0, BOTH, 0, 'p', X1 | X2 | FL)
  I38("PMOVSXBW", 0x20, 'b') I38("PMOVSXBD", 0x21, 'b') I38("PMOVSXBQ", 0x22, 'b') I38("PMOVSXWD", 0x23, 'w') I38("PMOVSXWQ", 0x24, 'w')
  I38("PMOVSXDQ", 0x25, 'l') I38("PMULDQ", 0x28, 'l') I38("PCMPEQQ", 0x29, 'q') I38("PACKUSDW", 0x2b, 'l')
  I38("PMOVZXBW", 0x30, 'b') I38("PMOVZXBD", 0x31, 'b') I38("PMOVZXBQ", 0x32, 'b') I38("PMOVZXWD", 0x33, 'w') I38("PMOVZXWQ", 0x34, 'w')
  I38("PMOVZXDQ", 0x35, 'l') I38("PCMPGTQ", 0x37, 'q') I38("PMINSB", 0x38, 'b') I38("PMINSD", 0x39, 'l') I38("PMINUW", 0x3a, 'w')
  I38("PMINUD", 0x3b, 'l') I38("PMAXSB", 0x3c, 'b') I38("PMAXSD", 0x3d, 'l') I38("PMAXUW", 0x3e, 'w') I38("PMAXUD", 0x3f, 'l')
  I38("PMULLD", 0x40, 'l') I38("PHMINPOSUW", 0x41, 'w')
  F("BLENDPS", M3A, P66, 0x0c, 0, BOTH, IMM, 'z', X1 | X2) F("BLENDPD", M3A, P66, 0x0d, 0, BOTH, IMM, 'z', X1 | X2)
  F("PBLENDW", M3A, P66, 0x0e, 0, BOTH, IMM, 'z', X1 | X2) F("PALIGNR", M3A, P66, 0x0f, 0, BOTH, IMM, 'z', X1 | X2)
  F("PEXTRB", M3A, P66, 0x14, 0, BOTH, IMM, 'z', X1 | RD) F("PEXTRW.sse4", M3A, P66, 0x15, 0, BOTH, IMM, 'z', X1 | RD)
  F("PEXTRD", M3A, P66, 0x16, 0, BOTH, IMM, 'z', X1 | RD) F("PEXTRQ", M3A, P66, 0x16, 1, BOTH, IMM, 'z', X1 | RD)
  F("EXTRACTPS", M3A, P66, 0x17, 0, BOTH, IMM, 'z', X1 | RD) F("EXTRACTPS.q", M3A, P66, 0x17, 1, BOTH, IMM, 'z', X1 | RD)
  F("PINSRB", M3A, P66, 0x20, 0, BOTH, IMM, 'z', X1 | RD) F("INSERTPS", M3A, P66, 0x21, 0, BOTH, IMM, 'z', X1 | X2)
  F("PINSRD", M3A, P66, 0x22, 0, BOTH, IMM, 'z', X1 | RD) F("PINSRQ", M3A, P66, 0x22, 1, BOTH, IMM, 'z', X1 | RD)
  F("MPSADBW", M3A, P66, 0x42, 0, BOTH, IMM, 'b', X1 | X2)
  F("PCMPESTRM", M3A, P66, 0x60, 0, BOTH, IMM, 't', X1 | X2 | RA | RD | FL) F("PCMPESTRM.q", M3A, P66, 0x60, 1, BOTH, IMM, 't', X1 | X2 | RA | RD | FL)
  F("PCMPESTRI", M3A, P66, 0x61, 0, BOTH, IMM, 't', X1 | X2 | RA | RD | FL) F("PCMPESTRI.q", M3A, P66, 0x61, 1, BOTH, IMM, 't', X1 | X2 | RA | RD | FL)
  F("PCMPISTRM", M3A, P66, 0x62, 0, BOTH, IMM, 't', X1 | X2 | FL) F("PCMPISTRI", M3A, P66, 0x63, 0, BOTH, IMM, 't', X1 | X2 | FL)
};
enum { FORMS = sizeof forms / sizeof *forms };

/* ---- execution ---- */

static u8 *code;                 /* one page: the instruction, RET */
static u64 resume;               /* address of the RET */
static volatile u8 trap;
static u8 memory[64] __attribute__((aligned(64)));

static void on_signal(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)info;
  u64 rip = uc->uc_mcontext.gregs[REG_RIP];
  if (rip < (u64)code || rip >= (u64)code + 4096) { fprintf(stderr, "signal %d at %lx\n", signal, rip); _exit(3); }
  trap = signal == SIGFPE ? 19 : signal == SIGILL ? 6 : 13;
  uc->uc_mcontext.gregs[REG_RIP] = resume;
}

struct frame { struct state *in, *out; u64 rsp; };

__attribute__((noinline)) static void execute(struct state *in, struct state *out, u8 *target, u8 *memoryOperand) {
  register struct state *rin asm("r12") = in;
  register struct state *rout asm("r13") = out;
  register u8 *rtarget asm("r14") = target;
  register u8 *rmem asm("rdi") = memoryOperand;
  asm volatile(
    "subq $256, %%rsp\n"
    "movdqu (%%r12), %%xmm0\n movdqu 16(%%r12), %%xmm1\n movdqu 32(%%r12), %%xmm2\n"
    "movq 72(%%r12), %%mm1\n movq 80(%%r12), %%mm2\n"
    "movl 92(%%r12), %%eax\n pushq %%rax\n popfq\n"
    "movq 48(%%r12), %%rax\n movq 56(%%r12), %%rcx\n movq 64(%%r12), %%rdx\n"
    "ldmxcsr 88(%%r12)\n"
    "call *%%r14\n"
    "stmxcsr 88(%%r13)\n"
    "movq %%rax, 48(%%r13)\n movq %%rcx, 56(%%r13)\n movq %%rdx, 64(%%r13)\n"
    "pushfq\n popq %%rax\n movl %%eax, 92(%%r13)\n"
    "movdqu %%xmm0, (%%r13)\n movdqu %%xmm1, 16(%%r13)\n movdqu %%xmm2, 32(%%r13)\n"
    "movq %%mm1, 72(%%r13)\n movq %%mm2, 80(%%r13)\n emms\n"
    "pushq $0x1f80\n ldmxcsr (%%rsp)\n addq $8, %%rsp\n"
    "addq $256, %%rsp\n"
    : "+r"(rmem) : "r"(rin), "r"(rout), "r"(rtarget)
    : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "memory", "cc");
}

static u32 emit(int map, int prefix, int opcode, int w, int reg, int rm, int isMem, int hasImm, int imm) {
  u32 n = 0;
  if (prefix) code[n++] = prefix == P66 ? 0x66 : prefix == PF3 ? 0xf3 : 0xf2;
  if (w) code[n++] = 0x48;
  code[n++] = 0x0f;
  if (map == M38) code[n++] = 0x38;
  if (map == M3A) code[n++] = 0x3a;
  code[n++] = opcode;
  code[n++] = (isMem ? 7 : 0xc0 | rm) | reg << 3;
  if (hasImm) code[n++] = imm;
  code[n] = 0xc3;
  resume = (u64)code + n;
  return n;
}

enum { STATUS = 0x8d5 };

static void run(struct record *r, int hasImm) {
  emit(r->id >> 10, r->id >> 8 & 3, r->id & 0xff, r->rexw, r->reg, r->rm, r->isMem, hasImm, r->imm);
  memcpy(memory, r->in.mem, 32);
  trap = 0;
  memset(&r->out, 0, sizeof r->out);
  execute(&r->in, &r->out, code, memory + r->offset);
  r->out.flags &= STATUS;
  memcpy(r->out.mem, memory, 32);
  r->trap = trap;
}

/* ---- operands ---- */

static u64 seed;
static u64 next(void) {          /* splitmix64 */
  u64 z = seed += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static u32 below(u32 n) { return (next() >> 33) % n; }

static const u64 corners64[] = {
  0, 0x8000000000000000, 1, 0x8000000000000001, 0x000fffffffffffff, 0x800fffffffffffff, 0x0010000000000000, 0x8010000000000000,
  0x0010000000000001, 0x001fffffffffffff, 0x3ff0000000000000, 0xbff0000000000000, 0x3ff0000000000001, 0x3fefffffffffffff,
  0x3fe0000000000000, 0x3fe0000000000001, 0x3fdfffffffffffff, 0x3ff8000000000000, 0xbfe0000000000000, 0x4000000000000000,
  0x4004000000000000, 0x7fefffffffffffff, 0xffefffffffffffff, 0x7fe0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
  0x7ff8000000000000, 0xfff8000000000000, 0x7ff8000000001234, 0x7ff0000000000001, 0xfff4000000000123, 0x7ff7ffffffffffff,
  0x41dfffffffc00000, 0x41dfffffffe00000, 0x41dffffffff00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000100000,
  0xc1e0000000200000, 0xc1dfffffffe00000, 0x43e0000000000000, 0x43dfffffffffffff, 0xc3e0000000000000, 0xc3e0000000000001,
  0x4330000000000001, 0x4320000000000001, 0x47efffffe0000000, 0x47efffffefffffff, 0x47effffff0000000, 0x3810000000000000,
  0x380fffffffffffff, 0x380fffffe0000000, 0x36a0000000000000, 0x3690000000000000, 0x3690000000000001, 0x0008000000000000
};
static const u32 corners32[] = {
  0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000, 0x00800001, 0x00ffffff, 0x3f800000, 0xbf800000,
  0x3f800001, 0x3f7fffff, 0x3f000000, 0x3f000001, 0x3effffff, 0x3fc00000, 0xbf000000, 0x40000000, 0x40200000, 0x7f7fffff,
  0xff7fffff, 0x7f000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fc01234, 0x7f800001, 0xffa00123, 0x7fbfffff,
  0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x5effffff, 0x5f000000, 0xdf000000, 0xdf000001, 0x4b000001, 0x4a800001, 0x00400000,
  0x20000000, 0x1f800000, 0x5f800000
};
#define PICK(a) a[below(sizeof a / sizeof *a)]

static u64 float64(u64 near) {
  u64 bits = next();
  switch (below(12)) {
    case 0: case 1: return PICK(corners64);
    case 2: return bits;
    case 3: return (bits & 0x800fffffffffffff) | (u64)(1023 + below(70) - 4) << 52;                  /* like integers */
    case 4: return near ^ (bits & 0x8000000000000001) ^ (u64)below(4);                               /* cancels */
    case 5: return ((near & 0x7ff0000000000000) + ((u64)(below(120) - 60) << 52)) ^ (bits & 0x800fffffffffffff);
    case 6: return (bits & 0x800fffffffffffff) | (u64)((2046 - (near >> 52 & 0x7ff) - 1023 + below(5) - 2) & 0x7ff) << 52; /* product near the smallest */
    case 7: return (bits & 0x800fffffffffffff) | (u64)(896 + below(8) - 4 - (below(2) ? 23 : 0)) << 52; /* near the smallest f32 */
    case 8: return (bits & 0x8007000000000000) | (u64)(1023 + below(12) - 6) << 52;                  /* few bits: exact */
    case 9: return bits & 0x800fffffffffffff;                                                        /* denormal */
    case 10: return ((bits & 0x8000000000000000) | (u64)(1023 + below(60)) << 52) + (below(3) - 1);   /* beside powers of two */
    default: return (bits & 0x800fffffffffffff) | (u64)(1023 + below(20) - 10) << 52;
  }
}
static u32 float32(u32 near) {
  u32 bits = next();
  switch (below(12)) {
    case 0: case 1: return PICK(corners32);
    case 2: return bits;
    case 3: return (bits & 0x807fffff) | (u32)(127 + below(70) - 4) << 23;
    case 4: return near ^ (bits & 0x80000001) ^ below(4);
    case 5: return ((near & 0x7f800000) + ((below(60) - 30) << 23)) ^ (bits & 0x807fffff);
    case 6: return (bits & 0x807fffff) | ((254 - (near >> 23 & 0xff) - 127 + below(5) - 2) & 0xff) << 23;
    case 7: return (bits & 0x807fffff) | (1 + below(30)) << 23;
    case 8: return (bits & 0x80700000) | (127 + below(12) - 6) << 23;
    case 9: return bits & 0x807fffff;
    case 10: return ((bits & 0x80000000) | (127 + below(60)) << 23) + (below(3) - 1);
    default: return (bits & 0x807fffff) | (127 + below(20) - 10) << 23;
  }
}
static u64 integer(int width, u64 near) {
  u64 bits = next(), mask = width == 64 ? ~0ull : (1ull << width) - 1, sign = 1ull << (width - 1);
  switch (below(8)) {
    case 0: return 0;
    case 1: return mask;
    case 2: return sign + (below(3) - 1u);
    case 3: return near & mask;
    case 4: return (near ^ 1ull << below(width)) & mask;
    case 5: return (u64)(long)(int)(below(200) - 100) & mask;
    default: return bits & mask;
  }
}
static void fill(u8 *p, char kind, const u8 *near) {
  u64 n[2], v[2];
  memcpy(n, near, 16);
  int width = kind == 'b' ? 8 : kind == 'w' ? 16 : kind == 'l' || kind == 'i' ? 32 : 64;
  switch (kind) {
    case 's':
      for (int i = 0; i < 4; i++) ((u32 *)v)[i] = float32(((u32 *)n)[i]);
      break;
    case 'd':
      v[0] = float64(n[0]); v[1] = float64(n[1]);
      break;
    case 'b': case 'w': case 'l': case 'q': case 'i':
      for (int i = 0; i < 128 / width; i++) {
        u64 x = integer(width, width == 64 ? n[i] : n[i * width / 64] >> (i * width % 64));
        memcpy((u8 *)v + i * width / 8, &x, width / 8);
      }
      break;
    case 'c':                     /* a shift count */
      v[0] = below(8) ? below(70) : next(); v[1] = next();
      break;
    case 'p':                     /* PTEST: few bits */
      for (int i = 0; i < 2; i++) {
        v[i] = below(3) ? 0 : 1ull << below(64);
        switch (below(4)) { case 0: v[i] = ~v[i]; break; case 1: v[i] = n[i]; break; case 2: v[i] = ~n[i] | v[i]; }
      }
      break;
    case 't': {                   /* text with a small alphabet and some zeros */
      u32 letters = 1 + below(4), zeros = below(3) ? 24 : 6, wide = below(2);
      if (below(16) == 0) { v[0] = next(); v[1] = next(); break; }
      for (int i = 0; i < 16; i++) ((u8 *)v)[i] = below(zeros) == 0 ? 0 : (below(8) ? 'a' : 0xf0) + below(letters);
      if (wide) for (int i = 1; i < 16; i += 2) ((u8 *)v)[i] = ((u8 *)v)[i - 1] == 0 ? 0 : below(12) == 0 ? 0x80 : 0;
      break;
    }
    default:
      v[0] = next(); v[1] = next();
  }
  memcpy(p, v, 16);
}
static u32 control(void) {
  u32 rounding = below(4) << 13;
  switch (below(8)) {
    case 0: return 0x1f80;
    case 1: case 2: return 0x1fa0;                                       /* usual: all masked, PE sticky */
    case 3: return 0x1f80 | rounding | (below(2) ? 0x8000 : 0) | (below(2) ? 0x40 : 0) | (next() & 0x3f);
    case 4: return 0x1f80 | rounding;
    case 5: return 0x1f80 | rounding | (below(2) ? 0x8000 : 0) | (below(2) ? 0x40 : 0);
    default: return (next() & 0x9fc0) | rounding | (below(2) ? next() & 0x3f : 0);   /* some unmasked */
  }
}

static void draw(struct record *r, const struct form *f, int index, int small) {
  memset(r, 0, sizeof *r);
  r->id = f->map << 10 | f->prefix << 8 | f->opcode;
  r->form = index;
  r->rexw = f->w;
  r->isMem = f->forms == BOTH ? below(3) == 0 : f->forms == MEM;
  r->imm = f->imm ? next() : 0;
  r->reg = f->group >= 0 ? f->group : 1;
  r->rm = f->group >= 0 || below(16) == 0 ? 1 : 2;
  if (f->group >= 0 && below(2)) r->imm = below(70);
  if (f->kind != 't' && f->imm && f->opcode == 0xc2) r->imm = below(4) ? below(8) : r->imm;
  if (f->map == M3A && f->opcode == 0x0f) r->imm = below(5) ? below(34) : r->imm;
  if (f->map == M3A && f->opcode >= 0x08 && f->opcode <= 0x0b) r->imm = below(6) ? below(16) : r->imm;
  if (f->map == M3A && (f->opcode & ~1) == 0x40 && below(2)) r->imm |= 0xf1;
  r->offset = r->isMem && below(8) == 0 ? 1 + below(15) : 0;
  if (f->opcode == 0xf7) r->offset = below(16);
  static const u8 zero[16];
  u32 u = f->uses;
  char kind = f->kind;
  fill(r->in.xmm[1], kind == 'c' ? 'w' : kind, zero);
  fill(r->in.xmm[2], kind, r->in.xmm[1]);
  fill(r->in.mem + (r->offset & 15), kind, r->in.xmm[1]);
  if (f->opcode == 0xf7 && below(4) == 0) memset(r->in.xmm[2], below(2) ? 0xff : 0, 16);
  fill(r->in.xmm[0], 'z', zero);
  u64 x;
  char gprKind = kind == 'i' ? (f->w ? 'q' : 'i') : 'z';
  for (int i = 0; i < 3; i++) { u8 v[16]; fill(v, gprKind, zero); memcpy(&r->in.gpr[i], v, 8); }
  for (int i = 0; i < 2; i++) { u8 v[16]; fill(v, kind == 'i' ? 'i' : 'z', zero); memcpy(&r->in.mm[i], v, 8); }
  if (kind == 'i' && f->w && below(2)) r->in.gpr[2] = float64(0) >> below(12);
  if (kind == 't' && below(8)) {
    r->in.gpr[0] = (long)(below(40) - 20); r->in.gpr[2] = (long)(below(40) - 20);
    r->in.gpr[0] = (long)(int)r->in.gpr[0]; r->in.gpr[2] = (long)(int)r->in.gpr[2];
  }
  r->in.mxcsr = control();
  r->in.flags = next() & STATUS;
  /* What does not matter gets fixed values, which the reader of the text lines knows. */
  if (small) {
    x = 0x1111111111111111;
    if (!(u & X0)) memset(r->in.xmm[0], 0x10, 16);
    if (!(u & X1)) memset(r->in.xmm[1], 0x11, 16);
    if (!(u & X2) || r->isMem) memset(r->in.xmm[2], 0x12, 16);
    if (!(u & RA)) r->in.gpr[0] = x * 2;
    if (!(u & RC)) r->in.gpr[1] = x * 3;
    if (!(u & RD) || (r->isMem && kind != 't')) r->in.gpr[2] = x * 4;
    if (!(u & MM1)) r->in.mm[0] = x * 5;
    if (!(u & MM2) || r->isMem) r->in.mm[1] = x * 6;
    if (!(u & MX)) r->in.mxcsr = 0x1f80;
    if (!(u & FL)) r->in.flags = 0;
    if (!r->isMem && !(u & ME)) memset(r->in.mem, 0x17, 32);
    else for (int i = 0; i < 32; i++) if (i < r->offset || i >= r->offset + 16) r->in.mem[i] = 0x17;
  }
}

/* ---- output ---- */

static void hex(const char *name, const void *p, int n) {
  printf(" %s=", name);
  for (int i = n - 1; i >= 0; i--) printf("%02x", ((const u8 *)p)[i]);
}
/* Only what differs from the fixed values (in) or from the input (out). */
static void print_state(const struct state *s, const struct state *base) {
  static const char *const xmm[] = { "x0", "x1", "x2" }, *const gpr[] = { "ax", "cx", "dx" }, *const mm[] = { "m1", "m2" };
  for (int i = 0; i < 3; i++) if (memcmp(s->xmm[i], base->xmm[i], 16)) hex(xmm[i], s->xmm[i], 16);
  for (int i = 0; i < 3; i++) if (s->gpr[i] != base->gpr[i]) hex(gpr[i], &s->gpr[i], 8);
  for (int i = 0; i < 2; i++) if (s->mm[i] != base->mm[i]) hex(mm[i], &s->mm[i], 8);
  if (s->mxcsr != base->mxcsr) printf(" mx=%x", s->mxcsr);
  if (s->flags != base->flags) printf(" fl=%x", s->flags);
  if (memcmp(s->mem, base->mem, 32)) {
    int from = 0, to = 32;
    while (s->mem[from] == base->mem[from]) from++;
    while (s->mem[to - 1] == base->mem[to - 1]) to--;
    printf(" me=%x:", from);
    for (int i = from; i < to; i++) printf("%02x", s->mem[i]);
  }
}

static int approximation(const struct form *f) { return f->map == M0 && (f->opcode == 0x52 || f->opcode == 0x53); }

static int exists(void) {
  /* Only opcodes that cannot jump, trap into the system or store through another register. 2 = not tried. */
  struct record r;
  for (u32 id = 0; id < 0xc00; id++) for (int reg = 0; reg < 8; reg++) for (int isMem = 0; isMem < 2; isMem++) {
    int op = id & 0xff, prefix = id >> 8 & 3, map = id >> 10, try = 0;
    if (map == M0 && op != 0x77) try = (op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) || (op >= 0x50 && op <= 0x7f) || (op >= 0xc2 && op <= 0xc6) || op >= 0xd0;
    if (map == M38) try = op <= 0x41;
    if (map == M3A) try = op >= 8 && op <= 0x63;
    u8 answer = 2;
    if (try) {
      memset(&r, 0, sizeof r);
      for (int i = 0; i < 3; i++) memset(r.in.xmm[i], 0, 16);
      r.in.mxcsr = 0x1f80;
      r.in.flags = 0;
      int hasImm = map == M3A || (map == M0 && ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6)));
      r.id = id; r.reg = reg; r.rm = 2; r.isMem = isMem;
      if (!isMem && reg == 4 && map == M0 && (op == 0x2c || op == 0x2d || op == 0x50 || op == 0xc5 || op == 0xd7)) { putchar(2); continue; } /* writes rsp */
      if (!isMem && reg >= 3 && map == M0 && (op == 0x2c || op == 0x2d || op == 0x50 || op == 0xc5 || op == 0xd7)) r.reg = 1; /* keep rbx.. rdi */
      if (isMem && map == M0 && (op == 0x2c || op == 0x2d) && reg >= 3) r.reg = 1;
      if (map == M0 && prefix == PF3 && op == 0xb8) { putchar(2); continue; }
      run(&r, hasImm);
      answer = r.trap == 6 ? 0 : 1;
    }
    putchar(answer);
  }
  return 0;
}

int main(int argc, char **argv) {
  code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) { perror("mmap"); return 2; }
  struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
  sigaction(SIGFPE, &action, 0); sigaction(SIGILL, &action, 0); sigaction(SIGSEGV, &action, 0); sigaction(SIGBUS, &action, 0);
  if (argc == 2 && !strcmp(argv[1], "--exists")) return exists();
  if (argc == 2 && !strcmp(argv[1], "--forms")) {
    for (int i = 0; i < FORMS; i++) puts(forms[i].name);
    return 0;
  }
  if (argc < 4) { fprintf(stderr, "usage: generate --text|--binary SEED CASES_A_FORM\n"); return 2; }
  int text = !strcmp(argv[1], "--text");
  seed = strtoull(argv[2], 0, 0);
  int count = atoi(argv[3]);
  struct record r;
  struct state fixed;
  for (int i = 0; i < FORMS; i++) {
    const struct form *f = &forms[i];
    /* Floating point has more to get wrong: four times as many cases as for integers. */
    int n = f->uses & MX || f->kind == 't' ? count * 4 : count;
    if (text && approximation(f)) continue;
    for (int k = 0; k < n; k++) {
      draw(&r, f, i, text);
      run(&r, f->imm);
      if (!text) { fwrite(&r, sizeof r, 1, stdout); continue; }
      printf("%s %x", f->name, r.id);
      if (f->imm) printf(" imm=%x", r.imm);
      if (r.rexw) printf(" w=1");
      if (r.isMem) printf(" mem=1");
      if (r.reg != 1) printf(" reg=%x", r.reg);
      if (r.rm != 2) printf(" rm=%x", r.rm);
      if (r.offset) printf(" off=%x", r.offset);
      u64 x = 0x1111111111111111;
      for (int j = 0; j < 3; j++) { memset(fixed.xmm[j], 0x10 + j, 16); fixed.gpr[j] = x * (2 + j); }
      fixed.mm[0] = x * 5; fixed.mm[1] = x * 6; fixed.mxcsr = 0x1f80; fixed.flags = 0;
      memset(fixed.mem, 0x17, 32);
      print_state(&r.in, &fixed);
      printf(" >");
      if (r.trap) printf(" trap=%d", r.trap);
      print_state(&r.out, &r.in);
      putchar('\n');
    }
  }
  return 0;
}
