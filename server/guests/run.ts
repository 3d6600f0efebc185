/** Runs the host's package tools. */
import { spawn } from 'node:child_process';
import { GuestError } from './errors.ts';

export interface RunResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. `onStdout` takes the raw output as it comes instead of collecting it. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly onStdout?: (chunk: Uint8Array) => void } = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: Uint8Array[] = [];
    const errors: Uint8Array[] = [];
    let failure: unknown;
    child.stdout.on('data', (chunk: Uint8Array) => {
      if (options.onStdout === undefined) {
        output.push(chunk);
        return;
      }
      try {
        options.onStdout(chunk);
      } catch (error) {
        failure = error;
        child.kill();
      }
    });
    child.stderr.on('data', (chunk: Uint8Array) => errors.push(chunk));
    child.on('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? new GuestError('tool-missing', { program }) : error);
    });
    child.on('close', (status) => {
      if (failure !== undefined) {
        reject(failure);
        return;
      }
      resolve({
        status: status ?? -1,
        stdout: Buffer.concat(output).toString(),
        stderr: Buffer.concat(errors).toString(),
      });
    });
  });
}

/** The last lines of what a program complained about, as one line. */
export function complaint(result: RunResult): string {
  const lines = result.stderr.trim().split('\n').slice(-3);
  return lines.join(' / ') || `exit status ${result.status}`;
}
