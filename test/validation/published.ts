/** Published figures, and the recordings that are held against them (traces/published). */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LogReader } from '../../engine/log/reader.ts';
import { SHAPE_COUNTS, SHAPE_EXIT_CR, SHAPE_EXIT_EXCEPTION, SHAPE_INTERRUPT, SHAPE_UART_TX } from '../../engine/log/shapes.ts';
import { CR_MOV_TO, PHASE_INJECTED } from '../../engine/log/events.ts';
import type { EventBatch } from '../../engine/log/event-batch.ts';
import { candidate, costsOf, projectionOf } from '../../engine/regimes/catalogue.ts';
import type { OptionValue } from '../../engine/regimes/regime.ts';
import { Ledger } from '../../engine/analysis/comparison/ledger.ts';
import { MemorySource } from '../../engine/log/storage.ts';

const folder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'traces', 'published');

export function published<T>(name: string): T {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as T;
}

export function batchesOf(name: string): EventBatch[] {
  const reader = LogReader.open(new MemorySource(readFileSync(join(folder, `${name}.cvlog`))));
  return reader.eventBlocks.map((_, i) => reader.batch(i));
}

/** A stretch of a run: rows of batches, what lies in it, and under which name. */
export interface Stretch {
  readonly name: string;
  readonly instructions: number;
  readonly exceptions: number;
  readonly interrupts: number;
  readonly cr3Loads: number;
  readonly rows: readonly { readonly batch: EventBatch; readonly start: number; readonly end: number }[];
}

/** Cuts a run where its console shows a line `==NAME`; the first stretch is the boot. */
export function stretches(batches: readonly EventBatch[]): Stretch[] {
  const found: Stretch[] = [];
  let name = 'boot';
  let from = 0;
  let line = '';
  let rows: { batch: EventBatch; start: number; end: number }[] = [];
  let [exceptions, interrupts, cr3Loads] = [0, 0, 0];
  const close = (next: string, at: number): void => {
    found.push({ name, instructions: at - from, exceptions, interrupts, cr3Loads, rows });
    [name, from, rows, exceptions, interrupts, cr3Loads] = [next, at, [], 0, 0, 0];
  };
  for (const batch of batches) {
    let start = 0;
    for (let i = 0; i < batch.count; i++) {
      const site = batch.site[i];
      switch (batch.sites.shape[site]) {
        case SHAPE_EXIT_EXCEPTION:
          exceptions++;
          break;
        case SHAPE_INTERRUPT:
          if (batch.sites.f0[site] === PHASE_INJECTED) interrupts++;
          break;
        case SHAPE_EXIT_CR:
          if (batch.sites.f0[site] === 3 && batch.sites.f1[site] === CR_MOV_TO) cr3Loads++;
          break;
        case SHAPE_UART_TX: {
          const char = String.fromCharCode(batch.valueLo[i]);
          if (char !== '\n') {
            line += char;
            break;
          }
          const mark = /^==(\w+)\r?$/.exec(line);
          line = '';
          if (mark !== null) {
            rows.push({ batch, start, end: i });
            start = i;
            close(mark[1], batch.position[i]);
          }
          break;
        }
      }
    }
    rows.push({ batch, start, end: batch.count });
  }
  close('', batches.at(-1)?.position.at(-1) ?? 0);
  return found;
}

/** System calls of a run whose log counts them. */
export function systemCallsOf(batches: readonly EventBatch[]): number {
  let calls = 0;
  for (const { count, sites, site, aux } of batches) for (let i = 0; i < count; i++) if (sites.shape[site[i]] === SHAPE_COUNTS) calls = aux[i];
  return calls;
}

/** What a regime makes of each stretch of a run. Its state goes through all of them. */
export function costsOfStretches(list: readonly Stretch[], id: string, cpu: string, options: Readonly<Record<string, OptionValue>> = {}): Map<string, Ledger> {
  const chosen = candidate(id, { cpu, options });
  const projection = projectionOf(chosen, costsOf(chosen));
  return new Map(
    list.map(({ name, rows }) => {
      const ledger = new Ledger();
      for (const { batch, start, end } of rows) projection.fold(batch, start, end, ledger);
      return [name, ledger];
    }),
  );
}

/** Model beside publication, as a table for people. */
export function show(title: string, head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const text = (cell: string | number): string => (typeof cell === 'string' ? cell : Math.abs(cell) < 100 && !Number.isInteger(cell) ? cell.toFixed(2) : Math.round(cell).toString());
  const all = [head, ...rows.map((row) => row.map(text))];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  console.log([title, ...all.map((row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')}`)].join('\n'));
}

/** (model - published) / published, as text. */
export function errorOf(model: number, figure: number): string {
  return `${model >= figure ? '+' : ''}${(((model - figure) / figure) * 100).toFixed(0)} %`;
}
