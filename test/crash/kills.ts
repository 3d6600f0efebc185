/** Starts recorders and kills them. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Reference, type Repaired, expectThat, repair, replayPrefix } from './damage.ts';

const RECORDER = fileURLToPath(new URL('../../dist/test/crash/recorder.js', import.meta.url));
const IMAGE = fileURLToPath(new URL('../../engine/guests/images/lab-kernel.elf', import.meta.url));
const COMMAND_LINE = 'run="work io"';

export interface Setting {
  readonly blockBytes: number;
  /** Instructions between flushes. */
  readonly flushEvery: number;
}

/** When to kill: so many ms after the start, or when so many lines were read and then so many ms passed. */
export type Moment = { readonly kind: 'time'; readonly ms: number } | { readonly kind: 'lines'; readonly lines: number; readonly ms: number };

interface Remains {
  readonly bytes: Uint8Array | undefined;
  readonly syncedRecords: number;
  readonly syncedBytes: number;
  readonly lines: number;
  readonly hasEnded: boolean;
  readonly ms: number;
}

/** Runs a recorder in a folder of its own; to its end without a moment. */
function runRecorder({ blockBytes, flushEvery }: Setting, moment: Moment | undefined): Promise<Remains> {
  if (!existsSync(RECORDER)) throw new Error('dist/test/crash/recorder.js is missing: run `npm run build`');
  const folder = mkdtempSync(join(tmpdir(), 'chronovisor-crash-'));
  const file = join(folder, 'run.cvlog');
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [RECORDER, file, IMAGE, COMMAND_LINE, String(blockBytes), String(flushEvery)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let problems = '';
    let lines = 0;
    const kill = (): void => void child.kill('SIGKILL');
    const timer = moment?.kind === 'time' ? setTimeout(kill, moment.ms) : undefined;
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text;
      const before = lines;
      lines += text.split('\n').length - 1;
      if (moment?.kind === 'lines' && before < moment.lines && lines >= moment.lines) {
        if (moment.ms === 0) kill();
        else setTimeout(kill, moment.ms);
      }
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (problems += text));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      try {
        if (signal !== 'SIGKILL' && code !== 0) throw new Error(`the recorder failed (${code ?? signal}): ${problems}`);
        const bytes = existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined;
        // Only whole lines count.
        const told = output.slice(0, output.lastIndexOf('\n') + 1).trim().split('\n').at(-1) ?? '';
        const [word, records, length] = told.split(' ');
        resolve({ bytes, syncedRecords: Number(records ?? 0), syncedBytes: Number(length ?? 0), lines, hasEnded: word === 'ended', ms: performance.now() - started });
      } catch (error) {
        reject(error);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });
}

export interface KillTally {
  kills: number;
  /** No file, or no whole header. */
  withoutHeader: number;
  torn: number;
  unclosed: number;
  complete: number;
  recordsKept: number;
  recordsLost: number;
}

/** Records once to the end, then kills `count` recorders. `random`: 0 to 1. Throws at the first that is not as promised. */
export async function killRecorders(setting: Setting, count: number, random: () => number, module: WebAssembly.Module): Promise<KillTally> {
  const images = { kernel: new Uint8Array(readFileSync(IMAGE)) };
  const whole = await runRecorder(setting, undefined);
  expectThat(whole.bytes !== undefined && whole.hasEnded, 'the recorder that nobody killed did not end');
  const reference = new Reference(whole.bytes);
  const tally: KillTally = { kills: 0, withoutHeader: 0, torn: 0, unclosed: 0, complete: 0, recordsKept: 0, recordsLost: 0 };
  for (let i = 0; i < count; i++) {
    const moment: Moment = random() < 0.3 ? { kind: 'time', ms: random() * whole.ms } : { kind: 'lines', lines: 1 + Math.floor(random() * whole.lines), ms: random() < 0.5 ? 0 : random() * 10 };
    const remains = await runRecorder(setting, moment);
    try {
      tally.kills++;
      if (remains.bytes === undefined) {
        expectThat(remains.lines === 0, 'there is no file, but records were reported as safe');
        tally.withoutHeader++;
        continue;
      }
      judge(remains, remains.bytes, reference, tally, (repaired) => replayPrefix(repaired.reader, images, module, repaired.report));
    } catch (error) {
      // What was left is kept for a look.
      const kept = join(mkdtempSync(join(tmpdir(), 'chronovisor-crash-kept-')), 'run.cvlog');
      if (remains.bytes !== undefined) writeFileSync(kept, remains.bytes);
      throw new Error(`kill ${i}, ${JSON.stringify(moment)}, ${JSON.stringify(setting)}: ${error instanceof Error ? error.message : String(error)}; what was left is in ${kept}`, { cause: error });
    }
  }
  return tally;
}

function judge(remains: Remains, left: Uint8Array, reference: Reference, tally: KillTally, replays: (repaired: Repaired) => void): void {
  expectThat(Buffer.compare(left, reference.bytes.subarray(0, left.length)) === 0, 'what was written is not the beginning of the whole log');
  expectThat(left.length >= remains.syncedBytes, `${remains.syncedBytes} bytes were synced, ${left.length} are there`);
  const repaired = repair(left, left.length, reference);
  if (repaired === undefined) {
    expectThat(remains.lines === 0, 'the header is not there, but records were reported as safe');
    tally.withoutHeader++;
    return;
  }
  const { check, report } = repaired;
  expectThat(report.kept.records >= remains.syncedRecords, `${remains.syncedRecords} records were synced, ${report.kept.records} were kept`);
  expectThat(report.lost.blocks <= 1, `${report.lost.blocks} blocks were lost`);
  expectThat(!remains.hasEnded || check.isClosed, 'the recorder said that it had ended, but the log is not closed');
  if (check.isClosed) tally.complete++;
  else if (report.isTorn) tally.torn++;
  else tally.unclosed++;
  tally.recordsKept += report.kept.records;
  tally.recordsLost += report.lost.records;
  replays(repaired);
}

/** Park-Miller. */
export function randomOf(seed: number): () => number {
  let state = (seed % 0x7ffffffe) + 1;
  return () => {
    state = (state * 48_271) % 0x7fffffff;
    return state / 0x7fffffff;
  };
}

/** A seed from the environment, or a new one; printed either way. */
export function seedOfRun(file: string): number {
  const seed = Number(process.env.CHRONOVISOR_SEED ?? Math.floor(Math.random() * 0x7ffffffe));
  const all = file.includes('.all.') ? 'CHRONOVISOR_TESTS=all ' : '';
  console.log(`repeat: CHRONOVISOR_SEED=${seed} ${all}npx vitest run ${file}`);
  return seed;
}
