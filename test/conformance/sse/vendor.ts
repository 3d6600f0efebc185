/**
 * Where a CPU of another make than Intel's does otherwise than the SSE code, which does what an Intel CPU does, and is right. Only the comparison with such a host looks here; the stored
 * results are an Intel CPU's and are compared in full everywhere.
 */
import { readFileSync } from "node:fs";
import { IN, MEM, OUT, RECORD_SIZE } from "./harness.ts";

const DPPS = 0x940, DPPD = 0x941;

export function hostIsIntel(): boolean {
  return /^vendor_id\s*: GenuineIntel$/m.test(readFileSync("/proc/cpuinfo", "utf8"));
}

/** Encodings of SSE4a, as compareEncodings names them: EXTRQ and INSERTQ, MOVNTSS and MOVNTSD (APM vol. 4). AMD only; the CPU model has none. */
const SSE4A = /^0 1 78\/0r$|^0 [13] 79\/\dr$|^0 3 78\/\dr$|^0 [23] 2b\/\dm$/;

export function isOtherMake(encoding: string): boolean {
  return !hostIsIntel() && /\bsse4a\b/.test(readFileSync("/proc/cpuinfo", "utf8")) && SSE4A.test(encoding);
}

/**
 * SDM vol. 2A, DPPS and DPPD: the rules for NaNs "do not cover horizontal prioritization of NaNs. Horizontal propagation of NaNs to the destination and the positioning of those NaNs in
 * the destination is implementation dependent." True if that alone differs: both sides trapped alike, and where elements of the result differ, both are NaNs that
 * the operands hold, made quiet, or the default NaN; and there are at least two to choose from.
 */
export function differsByChoiceOfNan(record: Uint8Array, outcome: Uint8Array, trap: number): boolean {
  const view = new DataView(record.buffer, record.byteOffset, RECORD_SIZE);
  const id = view.getUint32(0, true);
  if ((id !== DPPS && id !== DPPD) || trap !== 0 || record[10] !== 0) return false;
  const bytes = id === DPPS ? 4 : 8;
  const element = (from: Uint8Array, at: number): bigint => BigInt(`0x${Buffer.from(from.subarray(at, at + bytes)).reverse().toString("hex")}`);
  const quiet = 1n << (bytes === 4 ? 22n : 51n), infinity = bytes === 4 ? 0x7f800000n : 0x7ff0000000000000n, sign = 1n << BigInt(bytes * 8 - 1);
  const [isMemory, , reg, rm, shift] = record.subarray(5, 10) as unknown as number[];
  const destination = reg! * 16, source = isMemory ? MEM + shift! : rm! * 16;
  const choice = new Set<bigint>([sign | infinity | quiet]);
  for (let at = 0; at < 16; at += bytes) {
    for (const value of [element(record, IN + destination + at), element(record, IN + source + at)]) if ((value & ~sign) > infinity) choice.add(value | quiet);
  }
  if (choice.size < 2) return false;
  for (let at = 0; at < outcome.length; at++) {
    const inside = at >= destination && at < destination + 16;
    if (!inside && record[OUT + at] !== outcome[at]) return false;
  }
  for (let at = destination; at < destination + 16; at += bytes) {
    const cpu = element(record, OUT + at), ours = element(outcome, at);
    if (cpu !== ours && !(choice.has(cpu) && choice.has(ours))) return false;
  }
  return true;
}
