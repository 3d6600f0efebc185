/** The last lines that a guest has shown, as text: the picture of a recording. */
import type { LogReader } from '../engine/log/reader.ts';
import { KIND_DEVICE } from '../engine/log/events.ts';
import { SHAPE_UART_TX } from '../engine/log/shapes.ts';
import { ConsoleText } from './console-text.ts';

/** Enough for the lines of a picture, escape sequences included. */
export const PICTURE_BYTES = 2048;
const LINES = 8;

export function pictureOf(bytes: Uint8Array): string {
  const text = new ConsoleText();
  for (const byte of bytes) text.write(byte);
  return text.toString().trimEnd().split('\n').slice(-LINES).join('\n');
}

/** Reads blocks from the end, no more than it needs. */
export function consoleEnd(reader: LogReader): Uint8Array {
  const last: number[] = [];
  for (let i = reader.eventBlocks.length - 1; i >= 0 && last.length < PICTURE_BYTES; i--) {
    const batch = reader.batch(i);
    for (let row = batch.count - 1; row >= 0 && last.length < PICTURE_BYTES; row--) {
      if (batch.kind[row] === KIND_DEVICE && batch.sites.shape[batch.site[row]] === SHAPE_UART_TX) last.push(batch.valueLo[row]);
    }
  }
  return Uint8Array.from(last.reverse());
}
