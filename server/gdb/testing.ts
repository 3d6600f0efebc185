/** A client in memory, and the recording that the tests walk through. */
import { join } from 'node:path';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { ownPackage } from '../store/package-root.ts';
import { Cursor } from './cursor.ts';
import { PacketDecoder, encodePacket } from './packet.ts';
import { GdbSession } from './session.ts';

/** A lab guest that panics after 60 million instructions. */
export const RECORDING = join(ownPackage().root, 'traces', 'bug-lost-update.cvlog');
/** Its kernel, with symbols: the one that was recorded, whatever the guests' images are by now. */
export function recordedKernel(): Uint8Array {
  return openImages(LogReader.open(new FileSource(RECORDING, 'the recording')), {}).kernel;
}

export function openRecording(): TimeTravel {
  const reader = LogReader.open(new FileSource(RECORDING, 'the recording'));
  return new TimeTravel({ reader, images: openImages(reader, {}), module: loadCore() });
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class Client {
  readonly session: GdbSession;
  /** Data of the packets that came. */
  readonly replies: string[] = [];
  acks = 0;
  naks = 0;
  /** Why the session ended. */
  ended: string | undefined;
  private readonly decoder = new PacketDecoder();

  constructor(travel: TimeTravel) {
    this.session = new GdbSession({
      cursor: new Cursor(travel),
      turn,
      send: (bytes) => {
        for (const frame of this.decoder.push(bytes)) {
          if (frame.kind === 'packet') this.replies.push(frame.data);
          if (frame.kind === 'ack') this.acks++;
          if (frame.kind === 'nak') this.naks++;
        }
      },
      onEnd: (reason) => (this.ended = reason),
    });
  }

  raw(text: string): void {
    this.session.receive(Buffer.from(text, 'latin1'));
  }

  /** Waits for so many replies more than there were. */
  async ask(data: string): Promise<string> {
    const before = this.replies.length;
    this.raw(encodePacket(data));
    while (this.replies.length === before && this.ended === undefined) await turn();
    return this.replies.at(-1) ?? '';
  }
}
