import { readFileSync } from 'node:fs';
import binaryen from 'assemblyscript/binaryen';
import { afterEach, expect, test, vi } from 'vitest';
import { setJitMode } from '../../engine/jit/jit.ts';
import { EngineRunner, loadCore } from '../conformance/engine-runner.ts';
import { repositoryPath } from '../conformance/paths.ts';
import { keepsTheMode } from './lock-step.ts';

keepsTheMode();
afterEach(() => vi.unstubAllGlobals());

/** Instructions of a listing, without comments, indentation and alignment hints. */
function lines(text: string): string[] {
  return text.split('\n').map((line) => line.replace(/;;.*/, '').replaceAll(' align=1', '').trim()).filter((line) => line !== '');
}

test("the README's example is what the compiler makes", () => {
  setJitMode('always');
  const runner = new EngineRunner(loadCore());
  const made: Uint8Array[] = [];
  const { Module } = WebAssembly;
  vi.stubGlobal('WebAssembly', { ...WebAssembly, Instance: WebAssembly.Instance, Module: class extends Module { constructor(bytes: BufferSource) { super(bytes); made.push(new Uint8Array(bytes as ArrayBuffer)); } } });
  const registers = new BigUint64Array(16);
  registers[7] = 0x10010000n;
  registers[1] = 200n;
  registers[4] = 0x10021000n;
  const code = Uint8Array.of(0x48, 0x03, 0x07, 0x48, 0x83, 0xc7, 0x08, 0xff, 0xc9, 0x75, 0xf5, 0xcc);
  runner.run({ mode: 64, name: 'example', code, address: 0x10000400, fill: 0, registers, flags: 0x202, memory: [] });
  vi.unstubAllGlobals();

  // These belong to the process: a test that ran the AssemblyScript compiler in it leaves its own, and the listing would be optimised.
  binaryen.setOptimizeLevel(0);
  binaryen.setShrinkLevel(0);
  binaryen.setOptimizeStackIR(false);
  const module = binaryen.readBinary(made[0]);
  const text = lines(module.emitStackIR());
  const begin = text.indexOf('loop $label');
  const example = lines(/```wat\n([\s\S]*?)```/.exec(readFileSync(repositoryPath('engine/jit/README.md'), 'utf8'))![1]);
  expect(text.slice(begin, begin + example.length)).toEqual(example);
  module.dispose();
});
