/** Saved state as bytes, the same on every host: fields in order of name, numbers as IEEE doubles, everything with its length. */
import type { SavedState, SavedValue } from '../devices/device.ts';

const text = new TextEncoder();

class Out {
  private bytes = new Uint8Array(4096);
  private view = new DataView(this.bytes.buffer);
  length = 0;

  private room(n: number): void {
    if (this.length + n <= this.bytes.length) return;
    const next = new Uint8Array(Math.max(this.bytes.length * 2, this.length + n));
    next.set(this.bytes);
    this.bytes = next;
    this.view = new DataView(next.buffer);
  }
  byte(v: number): void {
    this.room(1);
    this.bytes[this.length++] = v;
  }
  word(v: number): void {
    this.room(4);
    this.view.setUint32(this.length, v, true);
    this.length += 4;
  }
  double(v: number): void {
    this.room(8);
    this.view.setFloat64(this.length, v, true);
    this.length += 8;
  }
  block(v: Uint8Array): void {
    this.word(v.length);
    this.room(v.length);
    this.bytes.set(v, this.length);
    this.length += v.length;
  }
  taken(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

export function encodeState(state: SavedState): Uint8Array {
  const out = new Out();
  put(out, state);
  return out.taken();
}

function put(out: Out, value: SavedValue): void {
  if (typeof value === 'number') {
    out.byte(1);
    out.double(value);
  } else if (typeof value === 'boolean') out.byte(value ? 3 : 2);
  else if (typeof value === 'string') {
    out.byte(4);
    out.block(text.encode(value));
  } else if (value instanceof Uint8Array) {
    out.byte(5);
    out.block(value);
  } else if (Array.isArray(value)) {
    out.byte(6);
    out.word(value.length);
    for (const item of value as readonly SavedValue[]) put(out, item);
  } else {
    const fields = Object.keys(value).sort();
    out.byte(7);
    out.word(fields.length);
    for (const field of fields) {
      out.block(text.encode(field));
      put(out, (value as SavedState)[field]);
    }
  }
}
