import fc from 'fast-check';
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { readLinear, readRegister, translate } from '../../engine/debug/inspect.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import { PACKET_SIZE, encodePacket, textToHex } from './packet.ts';
import { REGISTERS, TARGET_XML } from './registers.ts';
import { QUEUE_MAX } from './session.ts';
import { Client, openRecording, turn } from './testing.ts';

let travel: TimeTravel;
let client: Client;
beforeAll(() => {
  travel = openRecording();
});
beforeEach(() => {
  travel.seek(1_000_000);
  client = new Client(travel);
});

/** A little-endian number of a reply. */
function number(hex: string): bigint {
  return BigInt(`0x${Buffer.from(hex, 'hex').reverse().toString('hex')}`);
}
async function register(name: string): Promise<bigint> {
  return number(await client.ask(`p${REGISTERS.findIndex((each) => each.name === name).toString(16)}`));
}
async function monitor(command: string): Promise<string> {
  const from = client.replies.length;
  expect(await client.ask(`qRcmd,${textToHex(command)}`)).not.toBe('');
  while (client.replies.at(-1) !== 'OK') await turn();
  return Buffer.from(client.replies.slice(from, -1).map((reply) => reply.slice(1)).join(''), 'hex').toString();
}

it('greets as gdb expects, and stops acknowledging when asked', async () => {
  const supported = await client.ask('qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386');
  expect(supported.split(';')).toEqual(expect.arrayContaining([`PacketSize=${PACKET_SIZE.toString(16)}`, 'qXfer:features:read+', 'ReverseStep+', 'ReverseContinue+', 'QStartNoAckMode+', 'vContSupported+', 'swbreak+', 'hwbreak+']));
  expect(await client.ask('vMustReplyEmpty')).toBe('');
  expect(client.acks).toBe(2);
  expect(await client.ask('QStartNoAckMode')).toBe('OK');
  expect(await client.ask('?')).toBe('T05thread:1;');
  expect(client.acks).toBe(3);
  for (const [packet, reply] of [['qC', 'QC1'], ['qfThreadInfo', 'm1'], ['qsThreadInfo', 'l'], ['T1', 'OK'], ['T2', 'E01'], ['Hg0', 'OK'], ['Hc-1', 'OK'], ['Hg7', 'E01'], ['qAttached', '1'], ['vCont?', 'vCont;c;C;s;S'], ['qTStatus', '']]) {
    expect(await client.ask(packet), packet).toBe(reply);
  }
});

it('describes the registers that it gives', async () => {
  let xml = '';
  for (let offset = 0; ; ) {
    const part = await client.ask(`qXfer:features:read:target.xml:${offset.toString(16)},1f3`);
    xml += part.slice(1);
    offset += part.length - 1;
    if (part.startsWith('l')) break;
    expect(part[0]).toBe('m');
  }
  expect(xml).toBe(TARGET_XML);
  const described = [...xml.matchAll(/<reg name="(\w+)" bitsize="(\d+)"/g)].map(([, name, bits]) => ({ name, bits: Number(bits) }));
  expect(described.map(({ name }) => name)).toEqual(REGISTERS.map(({ name }) => name));
  const all = await client.ask('g');
  let at = 0;
  for (const [i, { name, bits }] of described.entries()) {
    const hex = all.slice(at, (at += bits / 4));
    expect(await client.ask(`p${i.toString(16)}`), name).toBe(hex);
    const own = { eflags: 'rflags', fs_base: 'fs.base', gs_base: 'gs.base', mxcsr: 'mxcsr' }[name] ?? name;
    const value = readRegister(travel.machine, own);
    if (value !== undefined) expect(number(hex), name).toBe(value);
  }
  expect(at).toBe(all.length);
  expect(await register('icount')).toBe(1_000_000n);
  // Place of the first registers of a feature, in bytes: the table of 64bit-core.xml, 64bit-sse.xml and 64bit-segments.xml
  const offset = (name: string): number => described.slice(0, described.findIndex((each) => each.name === name)).reduce((sum, { bits }) => sum + bits / 8, 0);
  expect(['rip', 'eflags', 'cs', 'st0', 'fctrl', 'xmm0', 'mxcsr', 'fs_base', 'cr0'].map(offset)).toEqual([128, 136, 140, 164, 244, 276, 532, 536, 552]);
  expect(await client.ask(`p${REGISTERS.length.toString(16)}`)).toBe('E01');
  expect(await client.ask('qXfer:features:read:other.xml:0,100')).toBe('E00');
});

it('reads memory through the page tables, and says where there is none', async () => {
  const rip = readRegister(travel.machine, 'rip')!;
  expect(await client.ask(`m${rip.toString(16)},40`)).toBe(Buffer.from(readLinear(travel.machine, rip, 64)).toString('hex'));
  expect(translate(travel.machine, 0x1234_5678_9000n)).toBeUndefined();
  for (const nowhere of ['123456789000', '8000000000000000', 'ffff000000000000']) expect(await client.ask(`m${nowhere},4`), nowhere).toBe('E14');
  // The kernel maps the first GiB of RAM, of which there are 64 MiB: a read over the end is cut there.
  const end = 0xffffffff80000000n + BigInt(travel.machine.core.ramBytes);
  expect(await client.ask(`m${(end - 8n).toString(16)},20`)).toHaveLength(16);
  for (const wrong of ['m', 'm1', 'm1,', 'mx,4', 'm1,4,4', `m${'1'.repeat(17)},4`]) expect(await client.ask(wrong), wrong).toBe('E01');
  expect((await client.ask(`m${rip.toString(16)},ffffffff`)).length).toBeLessThanOrEqual(PACKET_SIZE);
});

it('changes nothing', async () => {
  const { digest } = travel.machine.digest();
  for (const packet of ['G00', 'P0=0000000000000000', 'M1000,1:00', 'X1000,1:a']) expect(await client.ask(packet), packet).toMatch(/^E\./);
  await client.ask('g');
  await monitor('events 3');
  expect(travel.machine.digest().digest).toBe(digest);
});

it('walks to both ends and says so', async () => {
  travel.seek(2);
  expect(await client.ask('bs')).toBe('T05thread:1;');
  expect(await client.ask('bs')).toBe('T05thread:1;');
  expect(travel.position).toBe(0);
  expect(await client.ask('bs')).toBe('T05replaylog:begin;thread:1;');
  expect(await client.ask('bc')).toBe('T05replaylog:begin;thread:1;');
  expect(await client.ask('vCont;s:1;c')).toBe('T05thread:1;');
  expect(travel.position).toBe(1);
  expect(await client.ask('vCont;c')).toBe('T05replaylog:end;thread:1;');
  expect(travel.isAtEnd).toBe(true);
  expect(await client.ask('?')).toBe('T05replaylog:end;thread:1;');
  expect(await client.ask('s')).toBe('T05replaylog:end;thread:1;');
  expect(await client.ask('bc')).toBe('T05replaylog:begin;thread:1;');
  expect(travel.position).toBe(0);
});

it('stops at breakpoints with the reason that was offered', async () => {
  const there = readRegister(travel.machine, 'rip')!;
  travel.seek(999_990);
  await client.ask('qSupported:swbreak+;hwbreak+');
  for (const [type, reason] of [['0', 'swbreak'], ['1', 'hwbreak']]) {
    expect(await client.ask(`Z${type},${there.toString(16)},1`)).toBe('OK');
    expect(await client.ask(`Z${type},${there.toString(16)},1`)).toBe('OK');
    expect(await client.ask('c')).toBe(`T05${reason}:;thread:1;`);
    expect(await register('rip')).toBe(there);
    expect(await client.ask('?')).toBe(`T05${reason}:;thread:1;`);
    expect(await client.ask(`z${type},${there.toString(16)},1`)).toBe('OK');
    travel.seek(999_990);
  }
  const plain = new Client(travel);
  await plain.ask('qSupported:multiprocess+');
  await plain.ask(`Z0,${there.toString(16)},1`);
  expect(await plain.ask('c')).toBe('T05thread:1;');
  expect(await client.ask('Z5,1000,1')).toBe('');
  for (const wrong of ['Z0', 'Z0,1000', 'Z0,1000,1;X1,00', 'Z2,1000,0', 'Z2,1000,ffffffff', 'z9']) expect(await client.ask(wrong), wrong).toBe('E01');
});

/** A breakpoint that is never met: all of the run has to be looked at. */
const NEVER = 'Z1,1,1';

it('ends a continue at 0x03, in both directions, and then goes on to the same stop', async () => {
  await client.ask(NEVER);
  for (const [from, packet, end] of [[0, 'vCont;c', 'end'], [Number.MAX_SAFE_INTEGER, 'bc', 'begin']] as const) {
    travel.seek(from);
    const start = travel.position;
    const before = client.replies.length;
    client.raw(`${encodePacket(packet)}\x03`);
    while (client.replies.length === before) await turn();
    expect(client.replies.slice(before)).toEqual(['T02thread:1;']);
    expect(travel.position).not.toBe(start);
    expect(travel.position).toBeGreaterThan(0);
    expect(travel.isAtEnd).toBe(false);
    // In vain when nothing runs.
    client.raw('\x03');
    expect(await client.ask(packet)).toBe(`T05replaylog:${end};thread:1;`);
  }
});

it('answers monitor commands', async () => {
  expect(await monitor('when')).toBe(`@1_000_000 of @60_362_002, event ${travel.records}, 1.1 ms\n`);
  expect(await monitor('marks')).toContain('@12_577_933  work syscall\n');
  expect(await monitor('seek mark:work syscall')).toContain('@12_577_933 of');
  expect(travel.position).toBe(12_577_933);
  expect((await monitor('events 2')).trimEnd().split('\n')).toHaveLength(5);
  expect(await monitor('seek 50%')).toContain('@30_181_001 of');
  expect(await monitor('seek @7')).toContain('@7 of');
  expect(await monitor('seek end')).toContain('the end');
  for (const wrong of ['seek', 'seek nowhere', 'seek @99999999999', 'seek mark:none', 'seek 101%', 'seek event:99999999', 'events 0', 'events x', 'frobnicate']) {
    expect((await monitor(wrong)).length, wrong).toBeGreaterThan(10);
    expect(travel.isAtEnd, wrong).toBe(true);
  }
  expect(await monitor('help')).toContain('seek WHERE');
  expect(await client.ask('qRcmd,zz')).toBe('E01');
});

it('answers whatever comes, and goes on', async () => {
  travel.seek(100_000);
  const { digest } = travel.machine.digest();
  const runs = /^(?:[csCS]|b[cs]|vCont;|[Dk]|vKill|qRcmd)/;
  const like = fc.tuple(fc.constantFrom('', 'm', 'p', 'Z0,', 'Z2,', 'z1,', 'H', 'T', 'v', 'vCont', 'q', 'Q', 'qXfer:features:read:', 'qSupported', 'G', 'M'), fc.oneof(fc.string({ maxLength: 40 }), fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')), fc.stringMatching(/^[0-9a-f,:;]{0,40}$/)));
  await fc.assert(
    fc.asyncProperty(like, fc.boolean(), async ([head, tail], isNoisy) => {
      const data = Buffer.from(head + tail, 'utf8').toString('latin1');
      if (runs.test(data)) return;
      if (isNoisy) client.raw(tail.replaceAll('$', ''));
      await client.ask(data);
      expect(client.ended).toBeUndefined();
      expect(await client.ask('qC')).toBe('QC1');
    }),
    { numRuns: 300 },
  );
  expect(travel.position).toBe(100_000);
  expect(travel.machine.digest().digest).toBe(digest);
});

it('1000 steps back and 1000 on', async () => {
  travel.seek(57_612_185);
  const from = travel.position;
  for (let i = 1; i <= 1000; i++) {
    expect(await client.ask('bs')).toBe('T05thread:1;');
    expect(travel.position).toBe(from - i);
  }
  for (let i = 999; i >= 0; i--) {
    await client.ask('s');
    expect(travel.position).toBe(from - i);
  }
});

it('walks, mistakes and interrupts in any order: it answers each, and nothing is changed', async () => {
  const { digest: at } = ((): { digest: string } => {
    travel.seek(1_000_000);
    return travel.machine.digest();
  })();
  const packet = fc.constantFrom('s', 'bs', 'c', 'bc', 'vCont;s:1;c', 'vCont;c', 'g', 'p10', 'm1000,40', 'Z0,fffffffff0,1', 'Z1,ffffffff801012b0,1', 'z1,ffffffff801012b0,1', 'Z2,ffffffff801652a0,8', 'z2,ffffffff801652a0,8', 'Z4,0,0', 'qRcmd,7365656b20393925', 'qRcmd,00ff', 'vCont;x', 'G00', '?');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(packet, fc.boolean(), fc.string({ maxLength: 3 })), { minLength: 1, maxLength: 6 }), async (list) => {
      const one = new Client(travel);
      for (const [data, isInterrupted, noise] of list) {
        const before = one.replies.length;
        one.raw(noise.replaceAll('$', '').replaceAll('-', ''));
        one.raw(encodePacket(data));
        if (isInterrupted || /^(?:c|bc|vCont;c)$/.test(data)) one.raw('\x03');
        while (one.replies.length === before && one.ended === undefined) await turn();
      }
      expect(await one.ask('qC')).toBe('QC1');
      // It leaves in the middle of a packet, maybe while it runs.
      one.raw(`${encodePacket('c')}$m10`);
      await one.session.close();
    }),
    { numRuns: 15 },
  );
  travel.seek(1_000_000);
  expect(travel.machine.digest().digest).toBe(at);
});

it('asks again for what came damaged, and repeats what was not understood', async () => {
  client.raw('$qC#00');
  expect(client.naks).toBe(1);
  expect(await client.ask('qC')).toBe('QC1');
  client.raw('-');
  expect(client.replies).toEqual(['QC1', 'QC1']);
  client.raw('-'.repeat(20));
  expect(client.ended).toContain('refused');
});

it('answers what is too long with an error', async () => {
  expect(await client.ask('m'.repeat(PACKET_SIZE + 1))).toBe('E01');
  expect(await client.ask('qC')).toBe('QC1');
});

it('lets a client go that floods it', async () => {
  client.raw(encodePacket('vCont;c').repeat(QUEUE_MAX + 10));
  expect(client.ended).toContain('without waiting');
  await client.session.close();
});

it('comes to rest when the client vanishes while it runs', async () => {
  travel.seek(0);
  await client.ask(NEVER);
  client.raw(encodePacket('c'));
  await turn();
  await client.session.close();
  expect(client.replies).toEqual(['OK']);
  expect(travel.position).toBeLessThan(travel.last);
  const next = new Client(travel);
  expect(await next.ask('g')).toHaveLength(2 * REGISTERS.reduce((sum, { bits }) => sum + bits / 8, 0));
});

it('ends when the client detaches', async () => {
  expect(await client.ask('D')).toBe('OK');
  expect(client.ended).toBe('the client detached');
  const other = new Client(travel);
  await other.ask('k');
  expect(other.ended).toBeDefined();
});
