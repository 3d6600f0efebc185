/**
 * Before each test file: what the file before it in the same process may have left is put back (vitest.config.ts, `isolate`), and
 * CHRONOVISOR_JIT (off, on, eager, always) holds for every machine of the tests, whoever makes it.
 */
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { JIT_MODES, setJitMode } from '../engine/jit/jit.ts';

const ENVIRONMENT = Symbol.for('chronovisor.tests.environment');
const kept = globalThis as { [ENVIRONMENT]?: Readonly<NodeJS.ProcessEnv> };
kept[ENVIRONMENT] ??= { ...process.env };

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
for (const name of Object.keys(process.env)) if (!(name in kept[ENVIRONMENT])) delete process.env[name];
Object.assign(process.env, kept[ENVIRONMENT]);
// No test learns from the host's earlier runs, or adds to what they learnt; programs that tests start have it from here.
process.env['CHRONOVISOR_JIT_PROFILE'] ??= 'off';
vi.useRealTimers();
vi.unstubAllGlobals();
vi.restoreAllMocks();

const asked = process.env['CHRONOVISOR_JIT'];
const mode = asked === undefined || asked === '' ? 'on' : JIT_MODES.find((each) => each === asked);
if (mode === undefined) throw new Error(`CHRONOVISOR_JIT is ${asked}, not one of ${JIT_MODES.join(', ')}`);
setJitMode(mode);
