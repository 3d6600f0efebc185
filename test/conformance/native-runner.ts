/**
 * The host side of native/runner.c: builds it on demand, sends batches, reads outcomes. The byte layout is in runner.c.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { formatCase, type Case, type MemoryRun, type Outcome } from './case.ts';
import { baseImage, FS_BASE, GS_BASE, WINDOWS } from './layout.ts';
import { repositoryPath } from './paths.ts';

const SOURCE = 'test/conformance/native/runner.c';
const BINARY = 'build/conformance/runner';
const MAGIC = 0x314e5643;
const HEADER_BYTES = 32;
const WINDOW_BYTES = 16;
const CASE_BYTES = 216;
const CODE_BYTES_MAX = 64;
const RESULT_BYTES = 168;
const BATCH_CASES = 20_000;
const TIME_LIMIT_MS = 120_000;

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;

/** Why this host cannot run cases natively, or undefined. */
export function nativeUnavailable(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'not Linux on x86-64';
  if (spawnSync('gcc', ['--version']).status !== 0) return 'no gcc';
  return undefined;
}

export interface HostCpu {
  readonly vendor: string;
  readonly name: string;
}
export function hostCpu(): HostCpu {
  const text = readFileSync('/proc/cpuinfo', 'utf8');
  const field = (key: string): string => new RegExp(`^${key}\\s*: (.*)$`, 'm').exec(text)?.[1] ?? '?';
  return {
    vendor: field('vendor_id'),
    name: `${field('model name')}, family ${field('cpu family')} model ${field('model')} stepping ${field('stepping')}`,
  };
}

export class NativeRunner {
  private readonly binary: string;

  constructor() {
    this.binary = repositoryPath(BINARY);
    const source = repositoryPath(SOURCE);
    if (existsSync(this.binary) && statSync(this.binary).mtimeMs >= statSync(source).mtimeMs) return;
    mkdirSync(repositoryPath('build/conformance'), { recursive: true });
    const fresh = `${this.binary}.${process.pid}`;
    const built = spawnSync('gcc', ['-O2', '-Wall', '-Wextra', '-fno-stack-protector', '-fPIE', '-pie', '-Wl,-z,now', '-o', fresh, source], { encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`gcc could not build ${SOURCE}: ${built.stderr}`);
    renameSync(fresh, this.binary);
  }

  run(cases: readonly Case[]): Outcome[] {
    const outcomes: Outcome[] = [];
    for (let from = 0; from < cases.length; from += BATCH_CASES) this.runBatch(cases.slice(from, from + BATCH_CASES), outcomes);
    return outcomes;
  }

  private runBatch(cases: readonly Case[], outcomes: Outcome[]): void {
    const ran = spawnSync(this.binary, { input: encodeBatch(cases), maxBuffer: 1 << 30, timeout: TIME_LIMIT_MS });
    const results = decodeResults(ran.stdout ?? Buffer.alloc(0));
    if (results.length !== cases.length || ran.status !== 0) {
      // The runner writes in large pieces: the culprit is somewhere after the last result.
      const suspect = cases[results.length];
      throw new Error(`the native runner stopped (status ${ran.status}, signal ${ran.signal}) within 10,000 cases after: ${suspect === undefined ? 'the end' : formatCase(suspect)}; ${ran.stderr?.toString() ?? ''}`);
    }
    outcomes.push(...results);
  }
}

function encodeBatch(cases: readonly Case[]): Buffer {
  const images = WINDOWS.map(baseImage);
  let size = HEADER_BYTES + WINDOWS.length * WINDOW_BYTES + images.reduce((n, i) => n + i.length, 0);
  for (const c of cases) size += caseSize(c);
  const out = Buffer.alloc(size);
  out.writeUInt32LE(MAGIC, 0);
  out.writeUInt32LE(WINDOWS.length, 4);
  out.writeUInt32LE(cases.length, 8);
  out.writeBigUInt64LE(FS_BASE, 16);
  out.writeBigUInt64LE(GS_BASE, 24);
  let at = HEADER_BYTES;
  for (const w of WINDOWS) {
    out.writeBigUInt64LE(BigInt(w.address), at);
    out.writeUInt32LE(w.size, at + 8);
    out.writeUInt32LE(PROT_READ | (w.writable ? PROT_WRITE : 0) | (w.executable ? PROT_EXEC : 0), at + 12);
    at += WINDOW_BYTES;
  }
  for (const image of images) {
    out.set(image, at);
    at += image.length;
  }
  for (const c of cases) {
    if (c.code.length > CODE_BYTES_MAX) throw new RangeError(`a case has at most ${CODE_BYTES_MAX} bytes of code`);
    out.writeUInt32LE(caseSize(c), at);
    out[at + 4] = c.mode;
    out[at + 5] = c.code.length;
    out.writeUInt16LE(c.memory.length, at + 6);
    out.writeUInt32LE(c.address, at + 8);
    out.writeUInt32LE(c.flags, at + 16);
    out.set(new Uint8Array(c.registers.buffer, c.registers.byteOffset, 128), at + 24);
    out.set(c.code, at + 152);
    at += CASE_BYTES;
    for (const m of c.memory) {
      out.writeUInt32LE(m.address, at);
      out.writeUInt32LE(m.bytes.length, at + 4);
      out.set(m.bytes, at + 8);
      at += runSize(m.bytes.length);
    }
  }
  return out;
}

function caseSize(c: Case): number {
  return c.memory.reduce((n, m) => n + runSize(m.bytes.length), CASE_BYTES);
}
function runSize(length: number): number {
  return 8 + ((length + 7) & ~7);
}

function decodeResults(bytes: Buffer): Outcome[] {
  const outcomes: Outcome[] = [];
  let at = 0;
  while (at + RESULT_BYTES <= bytes.length) {
    const size = bytes.readUInt32LE(at);
    if (at + size > bytes.length) break;
    const runCount = bytes.readUInt16LE(at + 6);
    const memory: MemoryRun[] = [];
    let m = at + RESULT_BYTES;
    for (let i = 0; i < runCount; i++) {
      const length = bytes.readUInt32LE(m + 4);
      memory.push({ address: bytes.readUInt32LE(m), bytes: new Uint8Array(bytes.subarray(m + 8, m + 8 + length)) });
      m += runSize(length);
    }
    const registers = new BigUint64Array(16);
    new Uint8Array(registers.buffer).set(bytes.subarray(at + 40, at + 168));
    const vector = bytes[at + 4]!;
    outcomes.push({
      vector,
      error: vector === 3 ? 0 : bytes.readUInt32LE(at + 16),
      cr2: bytes.readBigUInt64LE(at + 24),
      rip: bytes.readBigUInt64LE(at + 8),
      registers,
      flags: bytes.readUInt32LE(at + 32),
      memory,
    });
    at += size;
  }
  return outcomes;
}
