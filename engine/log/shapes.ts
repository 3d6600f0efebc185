/**
 * The shapes of rows: FORMAT.md, section 4. A row is what every event becomes before it is bytes:
 *
 *     position | site: shape f0 f1 f2 f3 rip address | value | aux | payload
 */
import {
  KIND_COUNTS, KIND_DEVICE, KIND_DIGEST, KIND_DIRTY, KIND_END, KIND_EXIT, KIND_IDLE, KIND_INPUT, KIND_INTERRUPT, KIND_MARK,
} from './events.ts';

export const SHAPE_INPUT_CONSOLE = 0x01;
export const SHAPE_INPUT_NET = 0x02;
export const SHAPE_INPUT_ENTROPY = 0x03;
export const SHAPE_INPUT_WALL_CLOCK = 0x04;
export const SHAPE_INPUT_CONTROL = 0x05;
export const SHAPE_INPUT_REGISTER = 0x06;
export const SHAPE_INPUT_MEMORY = 0x07;
export const SHAPE_INPUT_TIMER_SHIFT = 0x08;
export const SHAPE_INPUT_LINE = 0x09;
export const SHAPE_INPUT_STALL = 0x0a;
export const SHAPE_EXIT_IO = 0x10;
export const SHAPE_EXIT_MMIO = 0x11;
export const SHAPE_EXIT_MSR = 0x12;
export const SHAPE_EXIT_CPUID = 0x13;
export const SHAPE_EXIT_CR = 0x14;
export const SHAPE_EXIT_DR = 0x15;
export const SHAPE_EXIT_EXCEPTION = 0x16;
export const SHAPE_EXIT_PLAIN = 0x17;
export const SHAPE_EXIT_PAGE_TABLE = 0x18;
export const SHAPE_INTERRUPT = 0x20;
export const SHAPE_UART_TX = 0x30;
export const SHAPE_UART_RX = 0x31;
export const SHAPE_TIMER_ARM = 0x32;
export const SHAPE_TIMER_FIRE = 0x33;
export const SHAPE_VIRTIO_REQUEST = 0x34;
export const SHAPE_VIRTIO_COMPLETE = 0x35;
export const SHAPE_NET_TX = 0x36;
export const SHAPE_NET_RX = 0x37;
export const SHAPE_IDLE = 0x40;
export const SHAPE_DIRTY = 0x50;
export const SHAPE_COUNTS = 0x51;
export const SHAPE_FIRST_WRITES = 0x52;
export const SHAPE_DIGEST = 0x60;
export const SHAPE_MARK = 0x70;
export const SHAPE_END = 0x80;

/** f0 is an index into the strings of the block. */
export const HAS_NAME = 1;
export const HAS_VALUE = 2;
/** The value is one byte. */
export const HAS_BYTE = 4;
export const HAS_AUX = 8;
export const HAS_PAYLOAD = 16;

/** Bits 0-3 of f1 in io and mmio: size in bytes. */
export const ACCESS_SIZE_MASK = 0x0f;

const ROWS: readonly (readonly [shape: number, kind: number, traits: number])[] = [
  [SHAPE_INPUT_CONSOLE,    KIND_INPUT,     HAS_NAME | HAS_PAYLOAD],
  [SHAPE_INPUT_NET,        KIND_INPUT,     HAS_NAME | HAS_PAYLOAD],
  [SHAPE_INPUT_ENTROPY,    KIND_INPUT,     HAS_NAME | HAS_PAYLOAD],
  [SHAPE_INPUT_WALL_CLOCK, KIND_INPUT,     HAS_VALUE],
  [SHAPE_INPUT_CONTROL,    KIND_INPUT,     0],
  [SHAPE_INPUT_REGISTER,   KIND_INPUT,     HAS_NAME | HAS_VALUE],
  [SHAPE_INPUT_MEMORY,     KIND_INPUT,     HAS_PAYLOAD],
  [SHAPE_INPUT_TIMER_SHIFT,KIND_INPUT,     HAS_NAME | HAS_VALUE],
  [SHAPE_INPUT_LINE,       KIND_INPUT,     0],
  [SHAPE_INPUT_STALL,      KIND_INPUT,     HAS_VALUE],
  [SHAPE_EXIT_IO,          KIND_EXIT,      HAS_VALUE],
  [SHAPE_EXIT_MMIO,        KIND_EXIT,      HAS_VALUE],
  [SHAPE_EXIT_MSR,         KIND_EXIT,      HAS_VALUE],
  [SHAPE_EXIT_CPUID,       KIND_EXIT,      HAS_VALUE],
  [SHAPE_EXIT_CR,          KIND_EXIT,      HAS_VALUE],
  [SHAPE_EXIT_DR,          KIND_EXIT,      HAS_VALUE],
  [SHAPE_EXIT_EXCEPTION,   KIND_EXIT,      0],
  [SHAPE_EXIT_PLAIN,       KIND_EXIT,      HAS_VALUE],
  [SHAPE_EXIT_PAGE_TABLE,  KIND_EXIT,      HAS_VALUE | HAS_AUX],
  [SHAPE_INTERRUPT,        KIND_INTERRUPT, 0],
  [SHAPE_UART_TX,          KIND_DEVICE,    HAS_VALUE | HAS_BYTE],
  [SHAPE_UART_RX,          KIND_DEVICE,    HAS_VALUE | HAS_BYTE],
  [SHAPE_TIMER_ARM,        KIND_DEVICE,    HAS_NAME | HAS_VALUE],
  [SHAPE_TIMER_FIRE,       KIND_DEVICE,    HAS_NAME],
  [SHAPE_VIRTIO_REQUEST,   KIND_DEVICE,    HAS_NAME | HAS_VALUE | HAS_AUX],
  [SHAPE_VIRTIO_COMPLETE,  KIND_DEVICE,    HAS_NAME | HAS_VALUE],
  [SHAPE_NET_TX,           KIND_DEVICE,    HAS_NAME | HAS_VALUE],
  [SHAPE_NET_RX,           KIND_DEVICE,    HAS_NAME | HAS_VALUE],
  [SHAPE_IDLE,             KIND_IDLE,      HAS_VALUE],
  [SHAPE_DIRTY,            KIND_DIRTY,     HAS_VALUE | HAS_PAYLOAD],
  [SHAPE_COUNTS,           KIND_COUNTS,    HAS_VALUE | HAS_AUX],
  [SHAPE_FIRST_WRITES,     KIND_DIRTY,     HAS_VALUE | HAS_PAYLOAD],
  [SHAPE_DIGEST,           KIND_DIGEST,    HAS_PAYLOAD],
  [SHAPE_MARK,             KIND_MARK,      HAS_NAME],
  [SHAPE_END,              KIND_END,       HAS_VALUE | HAS_PAYLOAD],
];

/** By shape; 0 where there is none. */
export const SHAPE_KIND = new Uint8Array(256);
export const SHAPE_TRAITS = new Uint8Array(256);
for (const [shape, kind, traits] of ROWS) {
  SHAPE_KIND[shape] = kind;
  SHAPE_TRAITS[shape] = traits;
}
export const SHAPES: readonly number[] = ROWS.map(([shape]) => shape);
