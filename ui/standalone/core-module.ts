/** The engine's core in a worker: from beside it, or from the page that holds all of it. */
import { JIT_MODES, setJitMode } from '../../engine/jit/jit.ts';
import { bytesOfBase64 } from '../../engine/protocol/base64.ts';
import { Refusal } from '../refusal.ts';

/** Global of a worker that a self-contained page started: the core as base64. */
export const CORE_VARIABLE = 'chronovisorCore';

let core: Promise<WebAssembly.Module> | undefined;
let counting: Promise<WebAssembly.Module> | undefined;

export function loadCore(): Promise<WebAssembly.Module> {
  return (core ??= load());
}

/** The core that tells of accesses, for models of TLBs. Throws Refusal in a page that is one file: it holds only the other. */
export function loadCountingCore(): Promise<WebAssembly.Module> {
  if (CORE_VARIABLE in globalThis) throw new Refusal('This file has no core that counts TLB misses', 'compare by the log, or open the recording in the lab');
  return (counting ??= WebAssembly.compileStreaming(fetch(new URL('../../dist/engine/cpu/core-counting.wasm', import.meta.url))));
}

/** As the page's address asks: `?jit=off|on|eager|always`. */
function chooseJit(): void {
  const asked = /\?jit=(.*)$/.exec((globalThis as { readonly name?: string }).name ?? '')?.[1];
  if (asked === undefined) return;
  const mode = JIT_MODES.find((each) => each === asked);
  if (mode === undefined) throw new Refusal(`The address asks for jit=${asked}`, `there are ${JIT_MODES.join(', ')}`);
  setJitMode(mode);
}

async function load(): Promise<WebAssembly.Module> {
  chooseJit();
  const given = (globalThis as { readonly [CORE_VARIABLE]?: string })[CORE_VARIABLE];
  if (given === undefined) return WebAssembly.compileStreaming(fetch(new URL('../../dist/engine/cpu/core.wasm', import.meta.url)));
  const bytes = bytesOfBase64(given);
  if (bytes === undefined) throw new Error('the core in this page is damaged: get the file again');
  return WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);
}
