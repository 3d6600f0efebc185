/** `bisect` on a recording with a planted bug. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { cli, json } from './testing.ts';

const FILE = fileURLToPath(new URL('../../traces/bug-lost-update.cvlog', import.meta.url));

test('bisect: each question tells the instruction, who called it, what came before, and makes a mark', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'chronovisor-bisect-'));
  try {
    const file = join(folder, 'bug.cvlog');
    copyFileSync(FILE, file);
    const callers = (calls: readonly string[]): string[] => calls.map((name) => name.split('+')[0]);
    const panic = await json('bisect', file, '--panic');
    expect(callers(panic.calls).slice(0, -1)).toEqual(['panic', 'accounting_check', 'process_exit', 'syscall_dispatch', 'syscall_entry']);
    expect(panic).toMatchObject({ result: 'found', mark: 'bisect-panic', instruction: { symbol: 'panic', ring: 0 } });
    expect(panic.stack[0]).toMatchObject({ kind: 'call', calledAt: panic.position - 1 });
    const printed = await json('bisect', file, '--console', 'PANIC', '--mark', 'it says so');
    expect(callers(printed.calls).slice(0, 2)).toEqual(['uart_write', 'tty_output']);
    const store = await json('bisect', file, '--corrupt', 'panicking', '--from', 'mark:bisect-panic');
    expect(callers(store.calls).slice(0, 3)).toEqual(['end', 'panic_print', 'accounting_check']);
    expect(store.stores[0]).toMatchObject({ position: store.position - 1, size: 1 });
    for (const found of [panic, printed, store]) {
      expect(found.before.event).toMatch(/^@\d+ /);
      expect((await json('state', file, '--at', `mark:${found.mark}`)).position).toBe(found.position);
    }
    // Asked again it is the same mark; of another place, another one.
    expect((await json('bisect', file, '--panic')).mark).toBe('bisect-panic');
    expect((await json('bisect', file, '--console', 'PANIC')).mark).toBe('bisect-console');
    expect((await json('bisect', file, '--console', 'PANIC:')).mark).toBe('bisect-console-2');
    expect((await json('bisect', file, '--panic', '--no-mark')).mark).toBeUndefined();
    expect((await cli('bisect', file, '--panic', '--mark', '')).status).toBe(2);
    expect((await cli('state', file, '--at', 'mark:nobody made it')).status).toBe(2);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);
