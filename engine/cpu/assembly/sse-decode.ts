/**
 * Which encodings exist. SDM vol. 2 appendix A tables, the xmm columns of SSE to SSE4.2.
 *
 * id is (map << 10) | (prefix << 8) | opcode; map 0 = 0F, 1 = 0F38, 2 = 0F3A; prefix 0 none, 1 = 66, 2 = F3, 3 = F2.
 * The table holds two bits for each id: 1 = register form, 2 = memory form.
 */
const NONE: i32 = 0, BOTH: i32 = 3, REG: i32 = 1, MEM: i32 = 2;

/** Takes the four prefixes of an opcode into one byte. */
// @ts-ignore: decorator
@inline
function row(none: i32, p66: i32, f3: i32, f2: i32): u32 {
  return <u32>(none | p66 << 2 | f3 << 4 | f2 << 6);
}

function forms0f(opcode: u32): u32 {
  switch (opcode) {
    //                    none  66    F3    F2
    case 0x10: return row(BOTH, BOTH, BOTH, BOTH); // MOVUPS MOVUPD MOVSS MOVSD
    case 0x11: return row(BOTH, BOTH, BOTH, BOTH);
    case 0x12: return row(BOTH, MEM,  BOTH, BOTH); // MOVLPS/MOVHLPS MOVLPD MOVSLDUP MOVDDUP
    case 0x13: return row(MEM,  MEM,  NONE, NONE); // MOVLPS MOVLPD
    case 0x14: return row(BOTH, BOTH, NONE, NONE); // UNPCKLPS UNPCKLPD
    case 0x15: return row(BOTH, BOTH, NONE, NONE); // UNPCKHPS UNPCKHPD
    case 0x16: return row(BOTH, MEM,  BOTH, NONE); // MOVHPS/MOVLHPS MOVHPD MOVSHDUP
    case 0x17: return row(MEM,  MEM,  NONE, NONE); // MOVHPS MOVHPD
    case 0x28: return row(BOTH, BOTH, NONE, NONE); // MOVAPS MOVAPD
    case 0x29: return row(BOTH, BOTH, NONE, NONE);
    case 0x2a: return row(BOTH, BOTH, BOTH, BOTH); // CVTPI2PS CVTPI2PD CVTSI2SS CVTSI2SD
    case 0x2b: return row(MEM,  MEM,  NONE, NONE); // MOVNTPS MOVNTPD
    case 0x2c: return row(BOTH, BOTH, BOTH, BOTH); // CVTTPS2PI CVTTPD2PI CVTTSS2SI CVTTSD2SI
    case 0x2d: return row(BOTH, BOTH, BOTH, BOTH); // CVTPS2PI CVTPD2PI CVTSS2SI CVTSD2SI
    case 0x2e: return row(BOTH, BOTH, NONE, NONE); // UCOMISS UCOMISD
    case 0x2f: return row(BOTH, BOTH, NONE, NONE); // COMISS COMISD
    case 0x50: return row(REG,  REG,  NONE, NONE); // MOVMSKPS MOVMSKPD
    case 0x51: return row(BOTH, BOTH, BOTH, BOTH); // SQRT
    case 0x52: return row(BOTH, NONE, BOTH, NONE); // RSQRTPS RSQRTSS
    case 0x53: return row(BOTH, NONE, BOTH, NONE); // RCPPS RCPSS
    case 0x54: case 0x55: case 0x56: case 0x57:
      return row(BOTH, BOTH, NONE, NONE); // AND ANDN OR XOR
    case 0x58: case 0x59: case 0x5a: case 0x5c: case 0x5d: case 0x5e: case 0x5f:
      return row(BOTH, BOTH, BOTH, BOTH); // ADD MUL CVT SUB MIN DIV MAX
    case 0x5b: return row(BOTH, BOTH, BOTH, NONE); // CVTDQ2PS CVTPS2DQ CVTTPS2DQ
    case 0x6f: return row(NONE, BOTH, BOTH, NONE); // MOVDQA MOVDQU
    case 0x70: return row(NONE, BOTH, BOTH, BOTH); // PSHUFD PSHUFHW PSHUFLW
    case 0x71: case 0x72: case 0x73:
      return row(NONE, REG,  NONE, NONE); // shifts by imm8
    case 0x77: case 0x78: case 0x79: case 0x7a: case 0x7b: return 0;
    case 0x7c: return row(NONE, BOTH, NONE, BOTH); // HADDPD HADDPS
    case 0x7d: return row(NONE, BOTH, NONE, BOTH); // HSUBPD HSUBPS
    case 0x7e: return row(NONE, BOTH, BOTH, NONE); // MOVD MOVQ
    case 0x7f: return row(NONE, BOTH, BOTH, NONE); // MOVDQA MOVDQU
    case 0xc2: return row(BOTH, BOTH, BOTH, BOTH); // CMP
    case 0xc3: return row(MEM,  NONE, NONE, NONE); // MOVNTI
    case 0xc4: return row(NONE, BOTH, NONE, NONE); // PINSRW
    case 0xc5: return row(NONE, REG,  NONE, NONE); // PEXTRW
    case 0xc6: return row(BOTH, BOTH, NONE, NONE); // SHUFPS SHUFPD
    case 0xd0: return row(NONE, BOTH, NONE, BOTH); // ADDSUBPD ADDSUBPS
    case 0xd6: return row(NONE, BOTH, REG,  REG);  // MOVQ MOVQ2DQ MOVDQ2Q
    case 0xd7: return row(NONE, REG,  NONE, NONE); // PMOVMSKB
    case 0xe6: return row(NONE, BOTH, BOTH, BOTH); // CVTTPD2DQ CVTDQ2PD CVTPD2DQ
    case 0xe7: return row(NONE, MEM,  NONE, NONE); // MOVNTDQ
    case 0xf0: return row(NONE, NONE, NONE, MEM);  // LDDQU
    case 0xf7: return row(NONE, REG,  NONE, NONE); // MASKMOVDQU
    case 0xff: return 0;                           // UD0
    default:
      // The integer instructions that MMX began: 60-6E, 74-76, D1-FE.
      return (opcode >= 0x60 && opcode <= 0x76) || opcode >= 0xd1 ? row(NONE, BOTH, NONE, NONE) : 0;
  }
}
function forms0f38(opcode: u32): u32 {
  if (opcode == 0x2a) return row(NONE, MEM, NONE, NONE); // MOVNTDQA
  const exists =
    opcode <= 0x0b ||                       // PSHUFB .. PMULHRSW
    opcode == 0x10 ||                       // PBLENDVB
    opcode == 0x14 || opcode == 0x15 ||     // BLENDVPS BLENDVPD
    opcode == 0x17 ||                       // PTEST
    (opcode >= 0x1c && opcode <= 0x1e) ||   // PABSB PABSW PABSD
    (opcode >= 0x20 && opcode <= 0x25) ||   // PMOVSX
    (opcode >= 0x28 && opcode <= 0x2b) ||   // PMULDQ PCMPEQQ . PACKUSDW
    (opcode >= 0x30 && opcode <= 0x35) ||   // PMOVZX
    (opcode >= 0x37 && opcode <= 0x41);     // PCMPGTQ PMIN PMAX PMULLD PHMINPOSUW
  return exists ? row(NONE, BOTH, NONE, NONE) : 0;
}
function forms0f3a(opcode: u32): u32 {
  const exists =
    (opcode >= 0x08 && opcode <= 0x0f) ||   // ROUND BLEND PBLENDW PALIGNR
    (opcode >= 0x14 && opcode <= 0x17) ||   // PEXTRB PEXTRW PEXTRD/Q EXTRACTPS
    (opcode >= 0x20 && opcode <= 0x22) ||   // PINSRB INSERTPS PINSRD/Q
    (opcode >= 0x40 && opcode <= 0x42) ||   // DPPS DPPD MPSADBW
    (opcode >= 0x60 && opcode <= 0x63);     // PCMPESTRM PCMPESTRI PCMPISTRM PCMPISTRI
  return exists ? row(NONE, BOTH, NONE, NONE) : 0;
}

/** 1 when the encoding is one of ours, 0 for #UD. `reg` is ModRM.reg: the shifts by imm8 are told apart by it. */
export function sseExists(id: u32, reg: u32, isMem: u32): u32 {
  const opcode = id & 0xff, prefix = id >> 8 & 3, map = id >> 10;
  const forms = map == 0 ? forms0f(opcode) : map == 1 ? forms0f38(opcode) : map == 2 ? forms0f3a(opcode) : 0;
  if ((forms >> (prefix << 1) & (isMem ? 2 : 1)) == 0) return 0;
  if (id >= 0x171 && id <= 0x173) {
    reg &= 7;
    // 71: PSRLW PSRAW PSLLW; 72: the same for D; 73: PSRLQ PSRLDQ PSLLQ PSLLDQ.
    return <u32>(id == 0x173 ? reg == 2 || reg == 3 || reg == 6 || reg == 7 : reg == 2 || reg == 4 || reg == 6);
  }
  return 1;
}

/** 1 when an imm8 follows. */
export function sseHasImm8(id: u32): u32 {
  if (id >= 0x800) return 1;
  const opcode = id & 0xff;
  return <u32>(id < 0x400 && ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6)));
}
