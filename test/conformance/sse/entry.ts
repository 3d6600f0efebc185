/**
 * AssemblyScript entry of the SSE tests: the real sse*.ts and softfloat64.ts over a flat memory.
 * The test copies it beside them, together with the stand-ins for ./memory, ./exceptions and ./mmx (see harness.ts).
 */
import { sseOp, ldmxcsr } from "./sse";
import { setFlags } from "./sse-operands";
import { FLAG_AUX, FLAG_RESULT } from "../layout";

export { sseExists, sseHasImm8 } from "./sse";

export function op(id: u32, reg: u32, rm: u32, isMem: u32, ea: u32, imm: u32, flags: u32): void {
  sseOp(id, reg, rm, isMem, <u64>ea, imm, flags);
}
export function loadMxcsr(value: u32): void {
  ldmxcsr(value);
}
/** RFLAGS bits to lazy flags, by the rules of layout.ts; AF goes straight to its place. */
export function putFlags(flags: u32): void {
  setFlags((flags & 0x40) != 0, (flags & 4) != 0, (flags & 1) != 0, (flags & 0x80) != 0, (flags & 0x800) != 0);
  store<u64>(FLAG_AUX, load<u64>(FLAG_AUX) | (<u64>(flags >> 4 & 1) << 3));
}
/** Lazy flags to RFLAGS bits, written from the text of layout.ts and not from the engine's code. */
export function takeFlags(): u32 {
  const result = load<u64>(FLAG_RESULT), aux = load<u64>(FLAG_AUX);
  const cf = <u32>(aux >> 63), overflow = <u32>((aux >> 63) ^ (aux >> 62 & 1));
  const zf = <u32>(result == 0), sf = <u32>((result >> 63) ^ (aux & 1)), af = <u32>(aux >> 3 & 1);
  const pf = (popcnt<u32>(<u32>result & 0xff) & 1 ^ 1) ^ (<u32>(aux >> 1) & 1);
  return cf | pf << 2 | af << 4 | zf << 6 | sf << 7 | overflow << 11;
}
