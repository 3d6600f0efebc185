/** Chains of logs: a run that goes on elsewhere, and parents that are not what they should be. */
import { describe, expect, test } from 'vitest';
import type { LogHeader } from '../../engine/log/header.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { MemorySink } from '../../engine/log/storage.ts';
import { Branch } from '../../engine/recording/branch.ts';
import { ChainError, type ChainProblem, openChain } from '../../engine/recording/chain.ts';
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import type { Recipe } from '../../engine/recording/recipe.ts';
import { Recorder, type RecorderStart } from '../../engine/recording/recorder.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { createLog } from '../../engine/log/writer.ts';
import { position } from '../../engine/log/position.ts';
import { labImage } from '../determinism/cases.ts';
import { core, identical, open } from '../determinism/runs.ts';

const images = { kernel: labImage('lab-kernel') };
const recipe: Recipe = {
  guest: 'lab-kernel',
  commandLine: 'run="work io; poweroff"',
  protocol: 'auto',
  machine: { memoryBytes: 32 << 20, seed: '0000000000000001', wallClockNs: '1700000000000000000', acpi: false, virtio: [], accessCostNs: 1000 },
  epochInstructions: 30_000,
  digestInstructions: 70_000,
};

interface Logged {
  readonly recorder: Recorder;
  readonly sink: MemorySink;
}

function recorderOf(id: string, from?: RecorderStart): Logged {
  const sink = new MemorySink();
  return { recorder: new Recorder({ recipe, images, module: core(), log: { sink, id, product: 'test', blockBytes: 4096 }, from }), sink };
}

function toTheEnd({ recorder }: Logged): string {
  for (;;) {
    const status = recorder.step(1_000_000, true);
    if (status.kind === 'ended') return status.digest;
    if (status.kind === 'idle') throw new Error('the guest waits');
  }
}

const finder = (logs: readonly LogReader[]) => ({ logId }: { logId: string }): LogReader | undefined => logs.find(({ header }) => header.id === logId);

/** The run in one piece. */
const whole = recorderOf('whole');
const wholeDigest = toTheEnd(whole);

/** A run that moves: each recorder stops, the next goes on in a machine of its own. */
function relay(places: readonly number[], takesOver: boolean): { readonly logs: readonly LogReader[]; readonly digest: string } {
  let running = recorderOf('log 0');
  const bytes: Uint8Array[] = [];
  places.forEach((place, i) => {
    while (running.recorder.position < place) if (running.recorder.step(place - running.recorder.position, true).kind === 'ended') throw new Error('it has ended');
    const { recorder } = running;
    const state = recorder.save();
    const start: RecorderStart = { parent: recorder.header!, records: recorder.records, at: takesOver ? { machine: recorder.machine, session: state.session } : copyCheckpoint(recorder.machine, state) };
    // One that is killed leaves what it had flushed; one that is stopped closes its log.
    if (takesOver) recorder.flush();
    const next = recorderOf(`log ${i + 1}`, start);
    if (!takesOver) recorder.stop('user', 'moved');
    bytes.push(running.sink.toBytes());
    running = next;
  });
  const digest = toTheEnd(running);
  return { logs: [...bytes, running.sink.toBytes()].map(open), digest };
}

describe('a run that goes on in other logs', () => {
  for (const takesOver of [false, true]) {
    test(`is the run in one piece, ${takesOver ? 'on the same machine, its logs not closed' : 'on other machines'}`, () => {
      const { logs, digest } = relay([12_345, 12_345, 100_000, 150_001], takesOver);
      expect(digest).toBe(wholeDigest);
      const chain = openChain(logs[logs.length - 1], finder(logs));
      expect(chain.readers).toEqual(logs);
      expect(chain.links.map((link) => link.position)).toEqual([0, 12_345, 12_345, 100_000, 150_001]);
      const status = identical(new Replayer({ reader: chain.reader, images, module: core() }).run(), 'the chain');
      expect(status).toMatchObject({ digest: wholeDigest, complete: true });
      const straight = open(whole.sink.toBytes());
      expect(chain.reader.records).toBe(straight.records);
      expect([...chain.reader.events()]).toEqual([...straight.events()]);
      // From the middle, as an index would.
      for (const from of [12_345, 99_999, 150_001]) expect([...chain.reader.events({ from: position(from), kinds: ['exit', 'digest'] })]).toEqual([...straight.events({ from: position(from), kinds: ['exit', 'digest'] })]);
    });
  }

  test('replays up to where the last log was cut off', () => {
    const { logs } = relay([100_000], false);
    const child = logs[1];
    const sink = new MemorySink();
    const cut = createLog(sink, child.header, { timeOffsetNs: child.eventBlocks[0].timeOffsetNs, position: child.header.parent!.position });
    let kept = 0;
    for (const event of child.events()) {
      if (kept === 40) break;
      cut.append(event);
      kept++;
    }
    cut.flush();
    const { reader } = openChain(open(sink.toBytes()), finder(logs));
    expect(identical(new Replayer({ reader, images, module: core() }).run(), 'a cut-off chain').complete).toBe(false);
    expect(reader.hasEnd).toBe(false);
  });
});

describe('a parent that is not what it should be', () => {
  const { logs } = relay([100_000, 150_000], false);
  const problem = (find: (parent: { logId: string }) => LogReader | undefined, reader = logs[2]): ChainProblem | undefined => {
    try {
      openChain(reader, find);
      return undefined;
    } catch (error) {
      if (error instanceof ChainError) return error.code;
      throw error;
    }
  };
  /** The same log under another header. */
  const withHeader = (reader: LogReader, changes: Partial<LogHeader>): LogReader => {
    const sink = new MemorySink();
    const writer = createLog(sink, { ...reader.header, ...changes }, { timeOffsetNs: reader.eventBlocks[0].timeOffsetNs, position: position(reader.eventBlocks[0].firstPosition) });
    for (const event of reader.events()) writer.append(event);
    writer.close();
    return open(sink.toBytes());
  };
  const swap = (changed: LogReader): ((parent: { logId: string }) => LogReader | undefined) => finder([changed, ...logs.filter(({ header }) => header.id !== changed.header.id)]);

  test('is found out', () => {
    expect(problem(finder(logs))).toBeUndefined();
    expect(problem(() => undefined)).toBe('parent-missing');
    expect(problem(finder([logs[1]]))).toBe('parent-missing');
    expect(problem(() => logs[0])).toBe('parent-wrong');
    expect(problem(swap(withHeader(logs[0], { wallClockNs: '1' })))).toBe('parent-wrong');
    expect(problem(swap(withHeader(logs[0], { config: { ...logs[0].header.config, seed: '0000000000000002' } })))).toBe('parent-wrong');
    expect(problem(swap(withHeader(logs[0], { images: [] })))).toBe('parent-wrong');
    // A log of that name which is another run.
    expect(problem(swap(withHeader(open(whole.sink.toBytes()), { id: 'log 1' })))).toBe('parent-wrong');
  });

  test('so is a branch point that the parent does not have', () => {
    const { parent } = logs[2].header;
    for (const changed of [{ position: position(150_000 + 100_000) }, { records: parent!.records! + 50 }, { records: logs[1].records }, { records: 0 }, { position: position(99_999) }]) {
      expect(problem(finder(logs), withHeader(logs[2], { parent: { ...parent!, ...changed } })), JSON.stringify(changed)).toBe('parent-wrong');
    }
    const { records: _, ...without } = parent!;
    expect(problem(finder(logs), withHeader(logs[2], { parent: without }))).toBe('parent-wrong');
  });

  test('so is a circle', () => {
    const circle = withHeader(logs[1], { parent: { logId: 'log 2', position: position(100_000), records: 1 } });
    expect(problem(swap(circle))).toBe('parent-circle');
    expect(problem(finder(logs), withHeader(logs[2], { parent: { logId: 'log 2', position: position(150_000), records: 1 } }))).toBe('parent-circle');
  });

  test('a branch alone does not replay', () => {
    expect(() => new Replayer({ reader: logs[1], images, module: core() })).toThrow('together with its parent');
  });
});

describe('the inputs of the parent', () => {
  const shell: Recipe = { ...recipe, commandLine: '' };
  /** Types each line when the guest has been idle for a while. */
  const typed = (): { readonly reader: LogReader; readonly console: string } => {
    const sink = new MemorySink();
    const shown: number[] = [];
    const recorder = new Recorder({ recipe: shell, images, module: core(), outputs: { console: (byte) => shown.push(byte) }, log: { sink, id: 'typed', product: 'test', blockBytes: 4096 } });
    for (const line of ['echo one\n', 'echo two\n', 'poweroff\n']) {
      for (let idles = 0; idles < 3; ) {
        const status = recorder.step(1_000_000, false);
        if (status.kind !== 'idle') continue;
        idles++;
        recorder.passIdle(idles === 3 ? Math.floor(status.ns / 3) : status.ns);
      }
      recorder.input(new TextEncoder().encode(line));
    }
    while (recorder.step(1_000_000, true).kind !== 'ended');
    return { reader: open(sink.toBytes()), console: String.fromCharCode(...shown) };
  };
  const { reader, console } = typed();

  /** With a timer put off, so that nothing after it is at the same time. */
  const branched = (inputs: 'keep' | 'none'): { readonly console: string; readonly reader: LogReader; readonly ended: string } => {
    const first = [...reader.entries({ kinds: ['input'] })].find(({ event }) => event.kind === 'input' && event.input.kind === 'console')!;
    const at = first.event.position - 2000;
    const shown: number[] = [];
    const replayer = new Replayer({ reader, images, module: core(), outputs: { console: (byte) => shown.push(byte) } });
    replayer.step(at);
    shown.length = 0;
    const sink = new MemorySink();
    const state = replayer.save();
    const branch = new Branch({
      recipe: shell, images, module: core(), parent: reader, records: state.records, inputs, idleLimitNs: 1e9,
      start: { parent: reader.header, records: state.records, at: { machine: replayer.machine, session: state.session } },
      changes: [{ position: at + 1000, change: { kind: 'timer-shift', timer: 'pit', ns: 777_777 } }],
      log: { sink, id: 'child', product: 'test' },
    }); // prettier-ignore
    for (;;) {
      const status = branch.step(1_000_000);
      if (status.kind === 'running') continue;
      const ended = status.kind === 'ended' ? status.reason : branch.stop('limit', status.kind).detail;
      expect(branch.parting).toBeDefined();
      return { console: String.fromCharCode(...shown), reader: openChain(open(sink.toBytes()), () => reader).reader, ended };
    }
  };

  test('come again in a run that is another', () => {
    expect(console).toMatch(/one[^]*two/);
    const kept = branched('keep');
    expect(kept.ended).toBe('debug-exit');
    expect(kept.console).toMatch(/one[^]*two/);
    identical(new Replayer({ reader: kept.reader, images, module: core() }).run(), 'the branch with the inputs');
    const texts = (of: LogReader): string => [...of.events({ kinds: ['input'] })].map((event) => (event.kind === 'input' && event.input.kind === 'console' ? String.fromCharCode(...event.input.bytes) : '')).join('');
    expect(texts(kept.reader)).toBe(texts(reader));
  });

  test('or not', () => {
    const none = branched('none');
    expect(none.ended).toBe('waiting');
    expect(none.console).not.toContain('one');
    identical(new Replayer({ reader: none.reader, images, module: core() }).run(), 'the branch without the inputs');
  });
});
