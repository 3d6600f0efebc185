/**
 * Hosts begin with plain machine code for WebAssembly, and optimise on another thread what has run for a while: of the interpreter's loop V8 makes 100 kB of machine
 * code, in some 0.2 s of CPU time. Before a machine gets the state that it will go on from, it runs a loop, so that this begins while the state is being read.
 */
import { planBoot } from '../machine/boot/select.ts';
import { PARA_REGIME } from './recipe.ts';
import type { Replayer } from './replayer.ts';

/** Some 5 ms. V8 optimises what has run some 2 × 10^6 bytes of machine code; the compiler of engine/jit would take a block that is run so often only once more. */
const INSTRUCTIONS = 30_000;
const LOAD_AT = 0x100000;
/** A Multiboot 1 kernel of 32-bit code: mov eax, [ebx]; add eax, ecx; mov [ebx], eax; dec ecx; jnz to the first. Magic, flags (addresses follow), checksum; header, load, two ends, entry. */
const HEADER = [0x1badb002, 0x10000, -(0x1badb002 + 0x10000), LOAD_AT, LOAD_AT, 0, 0, LOAD_AT + 32];
const LOOP = [0x8b, 0x03, 0x01, 0xc8, 0x89, 0x03, 0x49, 0x75, 0xf7];

/** Of a blank replayer; leaves its machine in a state that nobody wants. */
export function warmUp({ machine, recipe }: Replayer): void {
  // Its hypervisor knows one kernel.
  if (recipe.regime === PARA_REGIME) return;
  const kernel = new Uint8Array(32 + LOOP.length);
  kernel.set(new Uint8Array(Int32Array.from(HEADER).buffer));
  kernel.set(LOOP, 32);
  machine.load(planBoot({ kernel }, { memoryBytes: machine.core.ramBytes, protocol: 'multiboot' }));
  machine.run(INSTRUCTIONS);
}
