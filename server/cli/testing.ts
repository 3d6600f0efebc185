/** The command line inside a test: the same program, without a process for each command. What needs a process (signals, stdin, kill) starts dist/. */
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { expect } from 'vitest';
import { main } from './main.ts';

/** The built program, for tests that need a process. CHRONOVISOR_CLI names another one. */
export const PROGRAM = process.env['CHRONOVISOR_CLI'] ?? join(fileURLToPath(new URL('../..', import.meta.url)), 'dist', 'server', 'cli', 'main.js');

export interface Result {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

class Kept extends Writable {
  private readonly chunks: Buffer[] = [];

  get text(): string {
    return Buffer.concat(this.chunks).toString('utf8');
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.chunks.push(chunk);
    done();
  }
}

/** Runs a command in this process, in its present folder and environment. */
export async function cli(...argv: string[]): Promise<Result> {
  const stdout = new Kept();
  const stderr = new Kept();
  const status = await main(argv, { stdout, stderr } as unknown as Pick<NodeJS.Process, 'stdout' | 'stderr'>);
  return { status, out: stdout.text, err: stderr.text };
}

/** The same with --json: what it printed, whose exit code is that of the command. */
export async function json(...argv: string[]): Promise<any> {
  const { out, err, status } = await cli(...argv, '--json');
  const value = JSON.parse(out);
  if ('exitCode' in value) expect(value.exitCode, err).toBe(status);
  return value;
}
