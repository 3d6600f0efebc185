/** The terminal debugger: lines from a person, or from a script. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Commands, isAnswer } from './commands.ts';
import type { Debugger } from './debugger.ts';

const HISTORY_MAX = 1000;
const PROMPT = '(chronovisor) ';

/** `$CHRONOVISOR_HOME/debug-history`, or by the XDG base directories `~/.local/state/chronovisor/debug-history`. */
export function historyPath(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = environment['CHRONOVISOR_HOME'];
  if (own !== undefined && own !== '') return join(own, 'debug-history');
  const state = environment['XDG_STATE_HOME'];
  // Relative paths there are to be ignored (XDG Base Directory Specification).
  return join(state?.startsWith('/') === true ? state : join(homedir(), '.local', 'state'), 'chronovisor', 'debug-history');
}

/** Latest first, as readline has it. A history that cannot be read or written is none. */
export function readHistory(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter((line) => line !== '').slice(-HISTORY_MAX).reverse();
  } catch {
    return [];
  }
}
export function writeHistory(path: string, history: readonly string[]): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${history.slice(0, HISTORY_MAX).reverse().join('\n')}\n`, { mode: 0o600 });
  } catch {
    // Without a folder for it the history lasts as long as the debugger.
  }
}

export interface TerminalOptions {
  readonly commands: Commands;
  readonly debug: Debugger;
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  readonly history: string;
  /** Before anything is written: a progress line may be there. */
  readonly beforeText: () => void;
}

/** Until `quit`, Ctrl-D, or the terminal is gone. Ctrl-C ends what runs. Throws DivergedError no more than any other error: it is told, and the cursor is at power-on. */
export function runTerminal({ commands, debug, input, output, history, beforeText }: TerminalOptions): Promise<void> {
  const lines: string[] = [];
  let isRunning = false;
  const readline = createInterface({ input, output, terminal: true, history: readHistory(history), historySize: HISTORY_MAX, completer: (line: string) => [...commands.complete(line)] as [string[], string] });
  readline.setPrompt(PROMPT);
  let kept: readonly string[] = [];
  readline.on('history', (all: string[]) => (kept = [...all]));
  const prompt = (): void => {
    output.write(`\x1b[7m ${commands.status()} \x1b[0m\n`);
    readline.prompt();
  };
  return new Promise<void>((resolve, reject) => {
    const work = async (): Promise<void> => {
      isRunning = true;
      for (let line = lines.shift(); line !== undefined && !commands.isOver; line = lines.shift()) {
        try {
          await commands.run(line);
        } catch (error) {
          beforeText();
          if (isAnswer(error) || (error instanceof Error && error.name === 'DivergedError')) output.write(`${error.message}\n`);
          else throw error;
        }
      }
      isRunning = false;
      if (commands.isOver) readline.close();
      else prompt();
    };
    readline.on('line', (line) => {
      lines.push(line);
      if (!isRunning) work().catch(reject);
    });
    readline.on('SIGINT', () => {
      if (isRunning) debug.interrupt();
      else {
        output.write('\n');
        readline.write(null as never, { ctrl: true, name: 'e' });
        readline.write(null as never, { ctrl: true, name: 'u' });
        readline.prompt();
      }
    });
    readline.on('close', () => {
      debug.interrupt();
      commands.isOver = true;
      if (kept.length > 0) writeHistory(history, kept);
      resolve();
    });
    prompt();
  });
}

export interface FailedCommand {
  /** From 1. */
  readonly number: number;
  readonly line: string;
  readonly message: string;
}

/** Runs a script; the first command that fails ends it. Throws DivergedError. */
export async function runScript(commands: Commands, lines: AsyncIterable<string> | Iterable<string>, onCommand: (line: string) => void, onDone: () => void): Promise<FailedCommand | undefined> {
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.trim() === '' || line.trim().startsWith('#')) continue;
    onCommand(line.trim());
    try {
      await commands.run(line);
    } catch (error) {
      if (isAnswer(error)) return { number, line: line.trim(), message: error.message };
      throw error;
    }
    onDone();
    if (commands.isOver) return undefined;
  }
  return undefined;
}

export function linesOf(input: NodeJS.ReadableStream): AsyncIterable<string> {
  return createInterface({ input, terminal: false, crlfDelay: Infinity });
}
