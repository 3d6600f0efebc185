/**
 * One debugger that is attached to a recording: packets in, packets out. Knows no socket.
 *
 *     receive(bytes) ─► PacketDecoder ─► queue ─► one packet at a time ─► send(bytes)
 *                            └─ 0x03 ─► ends a continue at its next slice
 *
 * Facts of the protocol: GDB manual, appendix E. What a client sends is not trusted: it gets an error for what cannot be done, and is let go if it floods.
 */
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { readLinear, readRegister } from '../../engine/debug/inspect.ts';
import { DivergedError } from '../../engine/debug/time-travel.ts';
import { Cursor, type Halt, type PointKind } from './cursor.ts';
import { monitor } from './monitor.ts';
import { PACKET_SIZE, PacketDecoder, encodePacket, hexToText, textToHex, toHex } from './packet.ts';
import { TARGET_XML, allRegistersHex, registerHex } from './registers.ts';

export interface SessionOptions {
  readonly cursor: Cursor;
  /** For `monitor`; gdb has its own. */
  readonly symbols?: GuestSymbols | undefined;
  readonly send: (bytes: Uint8Array) => void;
  /** The session is over: the client detached, or it is let go, and why. */
  readonly onEnd: (reason: string) => void;
  /** Lets what has arrived in. */
  readonly turn: () => Promise<void>;
}

/** Packets that wait while one is worked on; a client that sends more is let go. gdb sends one and waits. */
export const QUEUE_MAX = 64;
/** Replies that are sent again because the client did not understand them, one after the other. */
const RESENDS_MAX = 8;

const POINT_KINDS: readonly PointKind[] = ['swbreak', 'hwbreak', 'watch', 'rwatch', 'awatch'];

/** A malformed packet, or one that asks for what is not there. */
const WRONG = 'E01';
/** EFAULT: nothing is mapped there. */
const UNMAPPED = 'E14';
/** Stands in the queue for a packet that could not be read; no packet begins with 0xff. */
const MALFORMED = '\xff';
const READ_ONLY = 'E.a recording cannot be changed';

export class GdbSession {
  isOver = false;
  private readonly options: SessionOptions;
  private readonly decoder = new PacketDecoder();
  private readonly queue: string[] = [];
  private isWorking = false;
  private working: Promise<void> = Promise.resolve();
  private isRunning = false;
  private isInterrupted = false;
  private acknowledges = true;
  private last = '';
  private resends = 0;
  private canSwbreak = false;
  private canHwbreak = false;
  private halt: Halt = { kind: 'step' };

  constructor(options: SessionOptions) {
    this.options = options;
  }

  /** Bytes from the client, in pieces of any size. */
  receive(bytes: Uint8Array): void {
    for (const frame of this.decoder.push(bytes)) {
      if (this.isOver) return;
      switch (frame.kind) {
        case 'ack':
          this.resends = 0;
          break;
        case 'nak':
          if (!this.acknowledges || this.last === '') break;
          if (++this.resends > RESENDS_MAX) return this.end(`the client refused a reply ${this.resends} times`);
          this.write(this.last);
          break;
        case 'interrupt':
          if (this.isRunning) this.isInterrupted = true;
          break;
        case 'bad':
          // Who asked for no acknowledgements relies on the transport: a wrong checksum is an error of the client then.
          if (this.acknowledges) this.write(frame.reason === 'checksum' ? '-' : '+');
          if (!this.acknowledges || frame.reason !== 'checksum') this.enqueue(MALFORMED);
          break;
        case 'packet':
          if (this.acknowledges) this.write('+');
          this.enqueue(frame.data);
      }
    }
  }

  /** The client is gone. Resolves when nothing of it is at work any more. */
  close(): Promise<void> {
    this.isOver = true;
    this.queue.length = 0;
    return this.working;
  }

  private enqueue(data: string): void {
    if (this.queue.length >= QUEUE_MAX) return this.end(`the client sent ${QUEUE_MAX} packets without waiting for a reply`);
    this.queue.push(data);
    if (!this.isWorking) this.working = this.work();
  }

  private async work(): Promise<void> {
    this.isWorking = true;
    try {
      for (let data = this.queue.shift(); data !== undefined && !this.isOver; data = this.queue.shift()) {
        const reply = await this.answer(data);
        if (reply !== undefined && !this.isOver) this.reply(reply);
        // Acknowledgements stop after the reply that agrees to it.
        if (data === 'QStartNoAckMode') this.acknowledges = false;
      }
    } catch (error) {
      if (!this.isOver) this.end(`a bug in Chronovisor, please report it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    } finally {
      this.isWorking = false;
    }
  }

  private end(reason: string): void {
    if (this.isOver) return;
    void this.close();
    this.options.onEnd(reason);
  }

  private reply(data: string): void {
    this.last = encodePacket(data);
    this.write(this.last);
  }
  private write(text: string): void {
    this.options.send(Buffer.from(text, 'latin1'));
  }

  // ---- packets ----

  /** Undefined: there is no reply. An empty one means that the packet is not known. */
  private async answer(data: string): Promise<string | undefined> {
    try {
      return await this.dispatch(data);
    } catch (error) {
      if (!(error instanceof DivergedError)) throw error;
      // The machine is where the replay went wrong. The last place that is known to be right is power-on.
      this.options.cursor.travel.seek(0);
      this.console(`${error.message}\nThe recording does not replay from there on (\`chronovisor replay\` says more); now at @0.\n`);
      this.halt = { kind: 'step' };
      return /^(?:c|s|C|S|b[cs]|vCont)/.test(data) ? this.stopReply() : WRONG;
    }
  }

  private async dispatch(data: string): Promise<string | undefined> {
    if (data === MALFORMED) return WRONG;
    const { cursor } = this.options;
    const { machine } = cursor.travel;
    switch (data[0]) {
      case '?':
        return this.stopReply();
      case 'g':
        return data === 'g' ? allRegistersHex(machine) : WRONG;
      case 'p': {
        const number = hexNumber(data.slice(1));
        return (number === undefined ? undefined : registerHex(machine, number)) ?? WRONG;
      }
      case 'G':
      case 'P':
      case 'M':
      case 'X':
        return READ_ONLY;
      case 'm':
        return this.readMemory(data.slice(1));
      case 'Z':
      case 'z':
        return this.point(data);
      case 'H':
        return /^H[gc](?:-1|0|1)$/.test(data) ? 'OK' : WRONG;
      case 'T':
        return data === 'T1' ? 'OK' : WRONG;
      case 'c':
      case 'C':
      case 's':
      case 'S':
        return /^[cs]$|^[CS][0-9a-f]{2}$/i.test(data) ? this.resume(data[0].toLowerCase() === 'c' ? 'c' : 's') : WRONG;
      case 'b':
        return data === 'bs' || data === 'bc' ? this.resume(data) : WRONG;
      case 'v':
        return this.verbose(data);
      case 'q':
      case 'Q':
        return this.query(data);
      case 'D':
        this.reply('OK');
        this.end('the client detached');
        return undefined;
      case 'k':
        this.end('the client ended the debugging');
        return undefined;
      default:
        return '';
    }
  }

  private verbose(data: string): string | undefined | Promise<string> {
    if (data === 'vCont?') return 'vCont;c;C;s;S';
    if (data.startsWith('vCont;')) {
      // The first action that fits the one thread counts: `vCont;s:1;c`.
      for (const action of data.slice(6).split(';')) {
        const match = /^(?:([cs])|([CS])[0-9a-f]{2})(?::(-1|0|1))?$/i.exec(action);
        if (match === null) return WRONG;
        return this.resume((match[1] ?? match[2]).toLowerCase() as 'c' | 's');
      }
      return WRONG;
    }
    if (data.startsWith('vKill')) {
      this.reply('OK');
      this.end('the client ended the debugging');
      return undefined;
    }
    return '';
  }

  private query(data: string): string {
    const { travel } = this.options.cursor;
    if (data.startsWith('qSupported')) {
      const offers = data.slice(data.indexOf(':') + 1).split(';');
      this.canSwbreak = offers.includes('swbreak+');
      this.canHwbreak = offers.includes('hwbreak+');
      return `PacketSize=${PACKET_SIZE.toString(16)};qXfer:features:read+;ReverseStep+;ReverseContinue+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+`;
    }
    if (data === 'QStartNoAckMode') return 'OK';
    if (data.startsWith('qXfer:features:read:')) return description(data.slice(20));
    if (data === 'qC') return 'QC1';
    if (data === 'qfThreadInfo') return 'm1';
    if (data === 'qsThreadInfo') return 'l';
    if (data === 'qThreadExtraInfo,1') return textToHex(`CPU 0, @${travel.position}`);
    if (data === 'qAttached' || data === 'qAttached:1') return '1';
    if (data.startsWith('qRcmd,')) {
      const command = hexToText(data.slice(6));
      if (command === undefined) return WRONG;
      // In pieces, as an answer may be longer than a packet.
      const answer = Buffer.from(monitor(travel, command, this.options.symbols), 'utf8');
      this.halt = { kind: 'step' };
      const piece = (PACKET_SIZE >> 1) - 16;
      for (let at = 0; at < answer.length; at += piece) this.reply(`O${toHex(answer.subarray(at, at + piece))}`);
      return 'OK';
    }
    return '';
  }

  private readMemory(text: string): string {
    const match = /^([0-9a-f]{1,16}),([0-9a-f]{1,8})$/i.exec(text);
    if (match === null) return WRONG;
    const { machine } = this.options.cursor.travel;
    const address = BigInt(`0x${match[1]}`);
    const length = Math.min(parseInt(match[2], 16), (PACKET_SIZE >> 1) - 16);
    if (length === 0) return '';
    // EFER.LMA: addresses are canonical (SDM vol. 1, 3.3.7.1). Without it they have 32 bits.
    const isLong = ((readRegister(machine, 'efer') ?? 0n) & 0x400n) !== 0n;
    if (isLong ? BigInt.asUintN(64, BigInt.asIntN(48, address)) !== address : address > 0xffff_ffffn) return UNMAPPED;
    const bytes = readLinear(machine, address, length);
    return bytes.length === 0 ? UNMAPPED : toHex(bytes);
  }

  /** `Z0,ADDRESS,KIND`, and conditions or commands behind it, which nobody was offered. */
  private point(data: string): string {
    const match = /^([Zz])([0-9]),([0-9a-f]{1,16}),([0-9a-f]{1,8})$/i.exec(data);
    if (match === null) return WRONG;
    const kind = POINT_KINDS.at(Number(match[2]));
    if (kind === undefined) return '';
    const { cursor } = this.options;
    const address = BigInt(`0x${match[3]}`);
    const length = parseInt(match[4], 16);
    if (match[1] === 'z') cursor.remove(kind, address, length);
    else if (!cursor.insert(kind, address, length)) return WRONG;
    return 'OK';
  }

  private async resume(how: 'c' | 's' | 'bc' | 'bs'): Promise<string> {
    const { cursor, turn } = this.options;
    if (how === 's') this.halt = cursor.step();
    else if (how === 'bs') this.halt = cursor.reverseStep();
    else {
      const interrupt = (): boolean => this.isInterrupted || this.isOver;
      this.isRunning = true;
      this.isInterrupted = false;
      try {
        const run = how === 'c' ? cursor.continue(interrupt) : cursor.reverseContinue(interrupt);
        for (;;) {
          // A 0x03 that came with the packet is heard before anything is done.
          await turn();
          const slice = await run.next();
          if (slice.done !== true) continue;
          this.halt = slice.value;
          break;
        }
      } finally {
        this.isRunning = false;
      }
    }
    return this.stopReply();
  }

  private stopReply(): string {
    const { halt } = this;
    switch (halt.kind) {
      case 'step':
        return 'T05thread:1;';
      case 'interrupted':
        return 'T02thread:1;';
      case 'begin':
      case 'end':
        return `T05replaylog:${halt.kind};thread:1;`;
      case 'break':
        return (halt.point === 'swbreak' ? this.canSwbreak : this.canHwbreak) ? `T05${halt.point}:;thread:1;` : 'T05thread:1;';
      case 'watch':
        return `T05${halt.point}:${halt.address.toString(16)};thread:1;`;
    }
  }

  /** Text for the person at the debugger. */
  private console(text: string): void {
    this.reply(`O${textToHex(text.slice(0, 4000))}`);
  }
}

function hexNumber(text: string): number | undefined {
  return /^[0-9a-f]{1,8}$/i.test(text) ? parseInt(text, 16) : undefined;
}

/** `ANNEX:OFFSET,LENGTH` */
function description(text: string): string {
  const match = /^([^:]*):([0-9a-f]{1,8}),([0-9a-f]{1,8})$/i.exec(text);
  if (match === null) return WRONG;
  if (match[1] !== 'target.xml') return 'E00';
  const offset = parseInt(match[2], 16);
  const length = Math.min(parseInt(match[3], 16), (PACKET_SIZE >> 1) - 16);
  const part = TARGET_XML.slice(offset, offset + length);
  return `${offset + part.length >= TARGET_XML.length ? 'l' : 'm'}${part}`;
}
