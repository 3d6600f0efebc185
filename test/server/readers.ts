/** Many readers of one recording while it is written, each in its own way; what they have read is held against the log. */
import { expect } from 'vitest';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { decodeConsoleFrame } from '../../engine/protocol/console-frame.ts';
import { decodeColumns } from '../../engine/protocol/columns.ts';
import { FrameSplitter, decodeEventRows } from '../../engine/protocol/event-batches.ts';
import type { RunStatus } from '../../engine/protocol/lab.ts';
import { startLab, until } from './lab.ts';
import { TestSocket } from './socket.ts';

/** Readers read until the run is over, and the rest of it then. */
export async function readWhileWritten(readers: number, instructions: number): Promise<void> {
  const lab = await startLab();
  try {
    const { id, recording } = await lab.json<RunStatus>('/api/v1/runs', { method: 'POST', body: { guest: 'lab', isUnattended: true, untilPosition: instructions, name: 'written' }, status: 201 });
    const at = `/api/v1/recordings/${encodeURIComponent(String(recording))}`;
    const isOver = async (): Promise<boolean> => ((await lab.json<RunStatus>(`/api/v1/runs/${id}`)).state === 'ended');

    /** Numbers of all records, each once, in order. */
    const events = async (): Promise<Float64Array> => {
      const records: number[] = [];
      for (let isLast = false; ; ) {
        isLast = await isOver();
        const response = await fetch(`${lab.url}${at}/events?record=${records.length}&limit=1000000`);
        expect(response.status).toBe(200);
        const frames = new FrameSplitter();
        for (const piece of frames.push(new Uint8Array(await response.arrayBuffer()))) for (const record of decodeEventRows(piece).records) records.push(record);
        expect(frames.pendingBytes).toBe(0);
        if (isLast) return Float64Array.from(records);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    /** The log itself, by ranges: what was read of it stays what it is. */
    const bytes = async (): Promise<Uint8Array> => {
      const pieces: Uint8Array[] = [];
      let length = 0;
      for (let isLast = false; ; ) {
        isLast = await isOver();
        const response = await fetch(`${lab.url}${at}/log`, { headers: { range: `bytes=${length}-` } });
        if (response.status === 206) {
          const piece = new Uint8Array(await response.arrayBuffer());
          pieces.push(piece);
          length += piece.length;
        } else {
          expect(response.status).toBe(416);
          await response.arrayBuffer();
        }
        if (isLast) return Buffer.concat(pieces);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    const zoom = async (): Promise<void> => {
      for (let seen = 0; ; ) {
        const isLast = await isOver();
        const { meta } = decodeColumns(new Uint8Array(await (await fetch(`${lab.url}${at}/pyramid?buckets=200`)).arrayBuffer()));
        const { records } = meta as { records: number };
        expect(records).toBeGreaterThanOrEqual(seen);
        seen = records;
        if (isLast) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    const follow = async (): Promise<Uint8Array> => {
      const socket = new TestSocket(`${lab.url}/api/v1/runs/${id}/live`);
      await socket.done();
      const frames = socket.binaries.map((message) => decodeConsoleFrame(message));
      frames.forEach((frame, i) => expect(frame?.from).toBe(i === 0 ? 0 : (frames[i - 1]?.from ?? 0) + (frames[i - 1]?.bytes.length ?? 0)));
      return Buffer.concat(frames.map((frame) => frame?.bytes ?? new Uint8Array(0)));
    };
    const ways = [events, bytes, zoom, follow];
    const results = await Promise.all(Array.from({ length: readers }, (_, i) => ways[i % ways.length]()));
    await until(isOver, (over) => over);

    const log = readFileSync(join(lab.recordings, 'written.cvlog'));
    const reader = LogReader.open(new MemorySource(log));
    const shown = [...reader.events({ kinds: ['device'] })].flatMap((event) => (event.kind === 'device' && event.report.kind === 'uart-tx' ? [event.report.byte] : []));
    const records = Float64Array.from({ length: reader.records }, (_, i) => i);
    results.forEach((result, i) => {
      const way = ways[i % ways.length];
      if (way === bytes) expect(log.equals(result as Uint8Array), `reader ${i}: bytes`).toBe(true);
      if (way === events) expect(Buffer.from((result as Float64Array).buffer).equals(Buffer.from(records.buffer)), `reader ${i}: events`).toBe(true);
      if (way === follow) expect(Buffer.from(shown).equals(result as Uint8Array), `reader ${i}: console`).toBe(true);
    });
    expect(await lab.job('recordings:written', { kind: 'replay' })).toMatchObject({ state: 'done', result: { result: 'identical', isComplete: true } });
  } finally {
    await lab.close();
  }
}
