/** Debug sessions over a WebSocket: they stop where TimeTravel stops, in both directions, and when they are told to. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { EXIT_REASONS } from '../../engine/log/events.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import type { DebugCommand } from '../../engine/protocol/lab.ts';
import { toJson } from '../../server/cli/output.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { openImages } from '../../server/store/guest-images.ts';
import { SHORT_RUN, type TestLab, startLab } from './lab.ts';
import { TestSocket } from './socket.ts';

interface Walked {
  readonly halt: { readonly kind: string; readonly text: string; readonly point?: { readonly number: number } };
  readonly place: { readonly position: number; readonly rip: string; readonly symbol: string };
}

let lab: TestLab;
let travel: TimeTravel;
let url: string;
beforeAll(async () => {
  lab = await startLab({}, ['bug-lost-update']);
  await lab.record({ ...SHORT_RUN, name: 'short' });
  const reader = LogReader.open(new MemorySource(readFileSync(join(lab.recordings, 'short.cvlog'))));
  travel = new TimeTravel({ reader, images: openImages(reader, {}), module: loadCore() });
  url = `${lab.url}/api/v1/recordings/recordings%3Ashort/debug`;
});
afterAll(async () => lab.close());

class Session {
  readonly socket: TestSocket;
  private nextId = 1;

  constructor(address: string) {
    this.socket = new TestSocket(address);
  }
  opened(): Promise<object> {
    return this.socket.text(({ kind }) => kind === 'opened');
  }
  /** Its number. */
  send(command: DebugCommand): number {
    const id = this.nextId++;
    this.socket.send({ id, ...command });
    return id;
  }
  async ask<T = Walked>(command: DebugCommand): Promise<T> {
    const id = this.send(command);
    const reply = await this.socket.text((text) => (text['kind'] === 'done' || text['kind'] === 'failed') && text['id'] === id);
    if (reply['kind'] === 'failed') throw new Error(JSON.stringify(reply['problem']));
    return reply['result'] as T;
  }
  async close(): Promise<void> {
    this.socket.socket.close();
    await this.socket.done();
  }
}

it('walks as TimeTravel walks', async () => {
  const session = new Session(url);
  expect(await session.opened()).toMatchObject({ place: { position: 0, last: 4_000_000 } });
  expect((await session.ask({ op: 'seek', where: '@1234567' })).place.position).toBe(1_234_567);
  travel.seek(1_234_567);
  const state = await session.ask<{ digest: object; registers: Record<string, string> }>({ op: 'state', hasDigest: true });
  expect(state.digest).toEqual(JSON.parse(toJson(travel.machine.digest())));
  expect((await session.ask({ op: 'step', count: 100 })).place.position).toBe(1_234_667);
  expect((await session.ask({ op: 'reverse-step' })).place.position).toBe(1_234_666);
  await session.ask({ op: 'subscribe', memory: [{ address: '0x1000', length: 4, isPhysical: true }] });
  const { state: seen, place } = await session.ask<Walked & { state: { position: number; registers: Record<string, string>; memory: object[] } }>({ op: 'step' });
  expect(seen).toMatchObject({ position: place.position, registers: { rip: place.rip }, memory: [{ length: 4 }] });
  await session.ask({ op: 'subscribe', isOff: true });
  expect(await session.ask({ op: 'reverse-step' })).not.toHaveProperty('state');
  const { value } = await session.ask<{ value: string }>({ op: 'evaluate', expression: 'rip' });
  const { instructions } = await session.ask<{ instructions: { address: string; text: string }[] }>({ op: 'disassemble', count: 3, before: 2 });
  expect(instructions).toHaveLength(5);
  expect(instructions[2].address).toBe(value);
  expect((await session.ask<{ frames: object[] }>({ op: 'stack' })).frames.length).toBeGreaterThan(0);

  // Back over exits, and on again: the same places.
  const { point } = await session.ask<{ point: { number: number } }>({ op: 'add-point', point: { kind: 'catchpoint', text: 'exit io' } });
  const back = await session.ask({ op: 'reverse-continue' });
  const stops: readonly StopPoint[] = [{ kind: 'event', kinds: ['exit'], matches: (event) => event.kind === 'exit' && event.reason === EXIT_REASONS.io }];
  travel.seek(1_234_666);
  expect(back).toMatchObject({ halt: { kind: 'point', point: { number: point.number } }, place: { position: travel.reverseContinue(stops).position } });
  expect((await session.ask({ op: 'continue' })).place.position).toBe(travel.continue(stops).position);
  await session.ask({ op: 'remove-point', number: point.number });
  await session.ask({ op: 'add-point', point: { kind: 'watchpoint', text: 'current' } });
  const written = await session.ask({ op: 'reverse-continue' });
  expect(written).toMatchObject({ halt: { kind: 'point' } });
  const { write } = await session.ask<{ write: { position: number } }>({ op: 'last-write', address: 'current' });
  expect(write.position).toBe(written.place.position - 1);
  expect(await session.ask<{ points: object[] }>({ op: 'points' })).toMatchObject({ points: [{ kind: 'watchpoint' }] });

  await expect(session.ask({ op: 'seek', where: '@99999999' })).rejects.toThrow(/after the end/);
  await expect(session.ask({ op: 'remove-point', number: 99 })).rejects.toThrow(/no point 99/);
  await expect(session.ask({ op: 'evaluate', expression: '(' })).rejects.toThrow(/expression/);
  for (const bad of ['{', '[]', '{"id":1}', '{"id":1,"op":"run"}', '{"id":1,"op":"seek"}', '{"id":1,"op":"step","count":0}', '{"id":-1,"op":"place"}', '{"id":1,"op":"place","more":1}']) session.socket.send(bad);
  await expect.poll(() => session.socket.texts.filter(({ kind, problem }) => kind === 'failed' && (problem as { code: string }).code === 'usage').length).toBe(8);
  expect((await session.ask({ op: 'seek', where: 'end' })).place.position).toBe(4_000_000);
  await session.close();
});

it('stops a long walk when it is told to, and answers in order', async () => {
  const session = new Session(`${lab.url}/api/v1/recordings/traces%3Abug-lost-update/debug`);
  await session.opened();
  await session.ask({ op: 'add-point', point: { kind: 'catchpoint', text: 'when rax == 0x123456789abcdef0' } });
  const walk = session.send({ op: 'continue' });
  await session.socket.text(({ kind }) => kind === 'progress');
  const state = session.send({ op: 'state' });
  session.send({ op: 'interrupt' });
  const answers = async (): Promise<number[]> => session.socket.texts.filter(({ kind, id }) => kind === 'done' && (id === walk || id === state)).map(({ id }) => id as number);
  await expect.poll(answers, { timeout: 60_000 }).toEqual([walk, state]);
  const walked = session.socket.texts.find(({ kind, id }) => kind === 'done' && id === walk)?.['result'] as Walked;
  expect(walked.halt.kind).toBe('interrupted');
  expect(walked.place.position).toBeGreaterThan(0);
  await session.close();
  expect(await (await fetch(`${lab.url}/metrics`)).text()).toMatch(/^chronovisor_debug_sessions 0$/m);
});

it('two sessions of one recording do not disturb each other', async () => {
  const [one, other] = [new Session(url), new Session(url)];
  await Promise.all([one.opened(), other.opened()]);
  await Promise.all([one.ask({ op: 'seek', where: '25%' }), other.ask({ op: 'seek', where: '75%' })]);
  expect([(await one.ask<{ position: number }>({ op: 'state' })).position, (await other.ask<{ position: number }>({ op: 'state' })).position]).toEqual([1_000_000, 3_000_000]);
  await Promise.all([one.close(), other.close()]);
});
