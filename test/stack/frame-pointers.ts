/** Who called, by the frame pointers that the lab's kernels have: another way than that of engine/debug, to hold it against. */
import { readLinear, readRegister } from '../../engine/debug/inspect.ts';
import type { SymbolTable } from '../../engine/debug/symbols.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';

/** Functions of a call chain at most. */
const FRAMES_MAX = 16;

/** The code address at the cursor and those that it will return to, as far as frame pointers lead to functions that are known. */
export function callChain(travel: TimeTravel, symbols: SymbolTable): readonly bigint[] {
  const { machine } = travel;
  const rip = readRegister(machine, 'rip') ?? 0n;
  const chain = [rip];
  const word = (address: bigint): bigint | undefined => {
    const bytes = readLinear(machine, address, 8);
    return bytes.length === 8 ? new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true) : undefined;
  };
  // What a call returns to may lie behind the function, when nothing comes after the call.
  const isCode = (address: bigint | undefined): address is bigint => address !== undefined && symbols.at(address - 1n) !== undefined;
  // At its first instruction a function has not pushed a frame yet.
  const entered = symbols.at(rip)?.address === rip ? word(readRegister(machine, 'rsp') ?? 0n) : undefined;
  if (isCode(entered)) chain.push(entered);
  for (let frame = readRegister(machine, 'rbp') ?? 0n; chain.length < FRAMES_MAX; ) {
    const caller = word(frame + 8n);
    const next = word(frame);
    if (!isCode(caller)) break;
    chain.push(caller);
    if (next === undefined || next <= frame) break;
    frame = next;
  }
  return chain;
}
