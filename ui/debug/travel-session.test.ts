import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import type { Look, OriginLink, PagePoint, SymbolsView } from '../../engine/protocol/moment.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { translate } from '../../engine/debug/inspect.ts';
import { walkPages } from './page-walk.ts';
import { type Job, TravelSession } from './travel-session.ts';

const bytes = new Uint8Array(readFileSync(new URL('../../traces/bug-lost-update.cvlog', import.meta.url)));
const newReader = (): LogReader => LogReader.open(new MemorySource(bytes));
const job = (isOver = (): boolean => false, progress = (): void => undefined): Job => ({ isOver, progress });
const LOOK: Look = { listing: { at: undefined, before: 4, after: 12 }, memory: { at: 'rsp', skip: -1, rows: 4, isPhysical: false }, paging: { at: 'rip' }, hasDevices: true };

let core: WebAssembly.Module;
let session: TravelSession;
let kept: Uint8Array | undefined;
let symbols: SymbolsView | undefined;

function newSession(): TravelSession {
  const reader = newReader();
  const kernel = reader.image(reader.header.images[0].sha256)!;
  return new TravelSession({
    newReader,
    images: async () => ({ kernel }),
    module: async () => core,
    turns: { isOver: true, next: () => Promise.resolve() },
    cache: {
      read: async () => (kept === undefined ? undefined : new MemorySource(kept)),
      keep: (write) => {
        const sink = new MemorySink();
        write(sink);
        kept = sink.toBytes();
        const source = new MemorySource(kept);
        return async () => source;
      },
    },
    onSymbols: (view) => (symbols = view),
  });
}

beforeAll(async () => {
  core = await WebAssembly.compile(readFileSync(new URL('../../dist/engine/cpu/core.wasm', import.meta.url)));
  session = newSession();
});

describe('a recording that the page walks in', () => {
  const AT = 31_234_567;

  it('has the state of a replay at every position, and makes checkpoints once', async () => {
    let told = 0;
    const moment = (await session.seek(AT, LOOK, job(undefined, () => told++)))!;
    const reader = newReader();
    const replayer = new Replayer({ reader, images: { kernel: reader.image(reader.header.images[0].sha256)! }, module: core });
    while (replayer.position < AT) replayer.step(AT - replayer.position);
    const rip = replayer.machine.core.big(L.RIP);
    expect(moment.rip).toBe(rip);
    expect(moment.machine.groups[0].registers[0][1]).toBe(rip.toString(16).padStart(16, '0'));
    expect(told).toBeGreaterThan(5);
    expect(kept?.length).toBeGreaterThan(10_000);
    const again = newSession();
    told = 0;
    expect(await again.seek(AT, {}, job(undefined, () => told++))).toMatchObject({ rip });
    expect(told).toBeLessThan(3);

    const { listing, memory, paging, devices } = moment;
    expect(Array.isArray(listing) && listing.some(({ address }) => address === rip)).toBe(true);
    expect(memory).toMatchObject({ at: replayer.machine.core.big(L.REGS + 4 * 8) });
    const rows = memory !== undefined && 'rows' in memory ? memory.rows : [];
    expect(rows[1].bytes).toEqual(replayer.machine.core.readPhysical(translate(replayer.machine, rows[1].address)!, 16));
    expect(paging).toMatchObject({ mode: '4-level', address: rip, paddr: BigInt(translate(replayer.machine, rip)!) });
    expect(devices?.map(({ name }) => name)).toEqual(expect.arrayContaining(['timers', 'pit', 'uart']));
    // Where there is no walk there is no address, everywhere in the address space.
    for (let i = 0n; i < 2000n; i++) {
      const address = BigInt.asUintN(64, i * 0x1357_9bdf_0246_8000n + i);
      const physical = translate(replayer.machine, address);
      expect(walkPages(replayer.machine, address).paddr).toBe(physical === undefined ? undefined : BigInt(physical));
    }
  }, 60_000);

  it('walks to breakpoints in both directions, and those are the hits over all of it', async () => {
    const point = (await session.makePoint(AT, { kind: 'breakpoint', text: 'accounting_exit' }, job()))!;
    expect(symbols).toMatchObject({ origin: 'elf', isLinux: false });
    const hits: number[] = [];
    expect(await session.hits(point, (found) => hits.push(...found), job())).toEqual({ isFull: false });
    expect(hits.length).toBeGreaterThan(2);
    const from = hits[1] - 1000;
    const forward = (await session.walk(from, 'continue', 'forward', [point], {}, job()))!;
    expect(forward.end).toEqual({ kind: 'point', index: 0 });
    const next = hits.find((at) => at > from)!;
    expect(forward.moment).toMatchObject({ symbol: 'accounting_exit', machine: { position: next } });
    const back = (await session.walk(next, 'continue', 'backward', [point], {}, job()))!;
    expect(back.moment.machine.position).toBe(hits.findLast((at) => at < next));
    const out = (await session.walk(next, 'out', 'forward', [], {}, job()))!;
    expect(out.end.kind).toBe('step');
    const frames = (await session.stack(next, job()))!;
    expect(frames[0].symbol).toBe('accounting_exit');
    expect(out.moment.rip).toBe(frames[1].rip);
    expect((await session.walk(next, 'instruction', 'forward', [], {}, job()))!.moment.machine.position).toBe(next + 1);
    expect((await session.walk(next + 1, 'instruction', 'backward', [], {}, job()))!.moment.machine.position).toBe(next);
    expect(await session.makePoint(AT, { kind: 'breakpoint', text: 'no_such_function' }, job()).catch((error: Error) => error.message)).toContain('no_such_function');
  }, 60_000);

  it('finds the last writer, and a watchpoint stops after it', async () => {
    const point = (await session.makePoint(AT, { kind: 'watchpoint', text: 'rsp', bytes: 8, isPhysical: false, access: 'write' }, job()))!;
    const back = (await session.walk(AT, 'continue', 'backward', [point], { memory: { at: 'rsp', skip: 0, rows: 1, isPhysical: false } }, job()))!;
    const rsp = (await session.seek(AT, { memory: { at: 'rsp', skip: 0, rows: 1, isPhysical: false } }, job()))!.memory!;
    const links: OriginLink[] = [];
    expect(await session.origin(AT, { kind: 'memory', address: 'at' in rsp ? rsp.at : 0n, bytes: 8 }, (link) => links.push(link), job())).toBe(true);
    expect(links[0].position + 1).toBe(back.moment.machine.position);
    expect(links[0].instruction).not.toBe('');
  }, 60_000);

  it('ends a walk that nobody waits for, where it is', async () => {
    const point: PagePoint = { kind: 'breakpoint', text: 'nowhere', addresses: [0x1234n] };
    let slices = 0;
    const walked = (await session.walk(0, 'continue', 'forward', [point], {}, job(() => slices > 2, () => slices++)))!;
    expect(walked.end).toEqual({ kind: 'interrupted' });
    expect(walked.moment.machine.position).toBeGreaterThan(0);
    expect(walked.moment.machine.position).toBeLessThan(newReader().lastPosition);
  }, 60_000);
});
