/** CHRONOVISOR_JIT (off, on, eager, always) holds for every machine of the tests, whoever makes it. Loaded by vitest before each file. */
import { JIT_MODES, setJitMode } from '../../engine/jit/jit.ts';

const asked = process.env['CHRONOVISOR_JIT'];
if (asked !== undefined && asked !== '') {
  const mode = JIT_MODES.find((each) => each === asked);
  if (mode === undefined) throw new Error(`CHRONOVISOR_JIT is ${asked}, not one of ${JIT_MODES.join(', ')}`);
  setJitMode(mode);
}
