/** Rules of the SSE code that no random operand shows; the instructions themselves are compared with a CPU in test/conformance/sse. */
import { beforeAll, describe, expect, it } from "vitest";
import { type Core, buildCore } from "../../test/conformance/sse/harness.ts";
import { CR4, FPR, FSW, FTW, MXCSR, REGS, XMM } from "./layout.ts";

const NONE = 0, P66 = 1, F3 = 2, F2 = 3;
const id = (map: number, prefix: number, opcode: number): number => (map << 10) | (prefix << 8) | opcode;

describe("sse", () => {
  let core: Core;
  beforeAll(() => { core = buildCore(); }, 120_000);
  const op = (i: number, reg: number, rm: number, imm = 0, flags = 2): number => core.trapOf(() => core.exports.op(i, reg, rm, 0, 0, imm, flags));
  const opMemory = (i: number, reg: number, address: number, imm = 0): number => core.trapOf(() => core.exports.op(i, reg, 0, 1, address, imm, 2));
  const setFloats = (n: number, ...values: number[]): void => values.forEach((v, i) => core.view.setFloat32(XMM + 16 * n + 4 * i, v, true));
  const mxcsr = (value: number): void => core.view.setUint32(MXCSR, value, true);

  it("loads MXCSR and refuses its reserved bits", () => {
    expect(core.trapOf(() => core.exports.loadMxcsr(0xffff))).toBe(0);
    expect(core.view.getUint32(MXCSR, true)).toBe(0xffff);
    expect(core.trapOf(() => core.exports.loadMxcsr(0x11f80))).toBe(13);
    expect(core.view.getUint32(MXCSR, true)).toBe(0xffff);
  });

  it("raises #UD for an unmasked exception when CR4.OSXMMEXCPT is clear, and sets the flag", () => {
    setFloats(1, 1, 1, 1, 1);
    setFloats(2, 0, 1, 1, 1);
    for (const [cr4, vector] of [[0x400, 19], [0, 6]] as const) {
      core.view.setUint32(CR4, cr4, true);
      mxcsr(0x1d80);
      expect(op(id(0, NONE, 0x5e), 1, 2)).toBe(vector);
      expect(core.view.getUint32(MXCSR, true)).toBe(0x1d84);
      expect(core.view.getFloat32(XMM + 16, true)).toBe(1);
    }
    core.view.setUint32(CR4, 0x400, true);
  });

  it("reaches all sixteen registers", () => {
    mxcsr(0x1f80);
    setFloats(15, 1, 2, 3, 4);
    setFloats(8, 10, 20, 30, 40);
    expect(op(id(0, NONE, 0x58), 15, 8)).toBe(0);
    expect([0, 4, 8, 12].map((i) => core.view.getFloat32(XMM + 240 + i, true))).toEqual([11, 22, 33, 44]);
    core.view.setBigUint64(REGS + 8 * 13, 0xfedcba9876543210n, true);
    op(id(0, P66, 0x6e), 14, 13, 0, 3);
    expect(core.view.getBigUint64(XMM + 14 * 16, true)).toBe(0xfedcba9876543210n);
    op(id(0, P66, 0x7e), 14, 9);
    expect(core.view.getBigUint64(REGS + 8 * 9, true)).toBe(0x76543210n);
  });

  it("refuses misaligned 16-byte operands, except where the manual allows them", () => {
    for (const i of [id(0, NONE, 0x28), id(0, NONE, 0x29), id(0, NONE, 0x58), id(0, P66, 0xef), id(0, P66, 0xe7), id(1, P66, 0x2a), id(0, F3, 0x12)]) {
      expect(opMemory(i, 1, 0x10004)).toBe(13);
    }
    for (const i of [id(0, NONE, 0x10), id(0, P66, 0x11), id(0, F3, 0x6f), id(0, F2, 0xf0), id(2, P66, 0x63), id(0, F2, 0x58), id(1, P66, 0x20)]) {
      expect(opMemory(i, 1, 0x10004)).toBe(0);
    }
  });

  it("writes mm registers as the x87 sees them: exponent all ones, TOP 0, all valid", () => {
    core.view.setUint16(FSW, 0x2800, true);
    core.view.setUint8(FTW, 0);
    core.view.setBigUint64(XMM + 16 * 3, 0x1122334455667788n, true);
    expect(op(id(0, F2, 0xd6), 5, 3)).toBe(0);
    expect(core.view.getBigUint64(FPR + 16 * 5, true)).toBe(0x1122334455667788n);
    expect(core.view.getUint16(FPR + 16 * 5 + 8, true)).toBe(0xffff);
    expect(core.view.getUint16(FSW, true)).toBe(0);
    expect(core.view.getUint8(FTW)).toBe(0xff);
  });

  it("enters MMX state before #XM, and raises a pending #MF first; a memory source does neither", () => {
    setFloats(2, 1.5, 2.5, 0, 0);
    mxcsr(0x0f80);
    core.view.setUint16(FSW, 0x2800, true);
    expect(op(id(0, NONE, 0x2d), 1, 2)).toBe(19);
    expect(core.view.getUint16(FSW, true)).toBe(0);
    core.view.setUint16(FSW, 0x2880, true);
    mxcsr(0x0f80);
    expect(op(id(0, NONE, 0x2d), 1, 2)).toBe(16);
    expect(core.view.getUint32(MXCSR, true)).toBe(0x0f80);
    expect(opMemory(id(0, NONE, 0x2a), 1, 0x10000)).toBe(0);
    expect(core.view.getUint16(FSW, true)).toBe(0x2880);
    core.view.setUint16(FSW, 0, true);
  });

  it("gives the lazy flags any combination", () => {
    const used = 0x8c5;
    for (let flags = 0; flags < 0x1000; flags++) {
      if ((flags & ~used) !== 0) continue;
      core.exports.putFlags(flags);
      expect(core.exports.takeFlags()).toBe(flags);
    }
  });

  it("tells which encodings have an imm8, and which groups exist", () => {
    const withImm: string[] = [];
    for (let i = 0; i < 0xc00; i++) {
      let exists = 0;
      for (let reg = 0; reg < 16; reg++) exists |= core.exports.sseExists(i, reg, 0) | core.exports.sseExists(i, reg, 1);
      if (exists && i < 0x800 && core.exports.sseHasImm8(i)) withImm.push(i.toString(16));
      if (exists && i >= 0x800) expect(core.exports.sseHasImm8(i)).toBe(1);
    }
    expect(withImm).toEqual(["c2", "c6", "170", "171", "172", "173", "1c2", "1c4", "1c5", "1c6", "270", "2c2", "370", "3c2"]);
    // REX.R does not reach a group's number.
    expect(core.exports.sseExists(0x173, 3 + 8, 0)).toBe(1);
    expect(core.exports.sseExists(0x173, 4, 0)).toBe(0);
    expect(core.exports.sseExists(0x171, 2, 1)).toBe(0);
  });

  it("approximates reciprocals as defined: exact, then 12 bits, denormals as zero, no exceptions", () => {
    const rcp = (x: number): number => {
      core.view.setUint32(XMM + 32, x, true);
      op(id(0, F3, 0x53), 1, 2);
      return core.view.getUint32(XMM + 16, true);
    };
    const rsqrt = (x: number): number => {
      core.view.setUint32(XMM + 32, x, true);
      op(id(0, F3, 0x52), 1, 2);
      return core.view.getUint32(XMM + 16, true);
    };
    mxcsr(0);
    const expected = (exact: number): number => {
      const exponent = Math.floor(Math.log2(exact));
      const scaled = exact / 2 ** (exponent - 11);
      const low = Math.floor(scaled), rest = scaled - low;
      return (rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low) * 2 ** (exponent - 11);
    };
    const view = new DataView(new ArrayBuffer(4));
    let x = 12345;
    for (let i = 0; i < 20_000; i++) {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
      const bits = (((x >>> 9) & 0x7fffff) | ((64 + (i & 127)) << 23)) >>> 0;
      view.setUint32(0, bits);
      const value = view.getFloat32(0);
      view.setFloat32(0, expected(1 / value));
      expect(rcp(bits)).toBe(view.getUint32(0));
      view.setFloat32(0, expected(1 / Math.sqrt(value)));
      expect(rsqrt(bits)).toBe(view.getUint32(0));
    }
    expect([0, 0x80000000, 1, 0x807fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xffc00001, 0x7f000000].map(rcp)).toEqual(
      [0x7f800000, 0xff800000, 0x7f800000, 0xff800000, 0, 0x80000000, 0x7fc00001, 0xffc00001, 0]
    );
    expect([0, 0x80000000, 1, 0x807fffff, 0x7f800000, 0xff800000, 0xbf800000, 0x7f800001].map(rsqrt)).toEqual(
      [0x7f800000, 0xff800000, 0x7f800000, 0xff800000, 0, 0xffc00000, 0xffc00000, 0x7fc00001]
    );
    expect(core.view.getUint32(MXCSR, true)).toBe(0);
  });
});
