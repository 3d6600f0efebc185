/**
 * Perfetto's protobuf trace: a sequence of packets, for ui.perfetto.dev and trace_processor.
 *
 * Field numbers: perfetto protos/perfetto/trace/trace_packet.proto, track_event/{track_descriptor,track_event,debug_annotation}.proto, interned_data.proto.
 */
import type { ByteSink } from '../../engine/log/storage.ts';
import { ChunkedSink } from './chunks.ts';
import { ProtobufWriter } from './protobuf.ts';
import type { TimelineArguments, TimelineSink } from './timeline.ts';

const PACKET = 1;
const PACKET_TIMESTAMP = 8;
const PACKET_SEQUENCE_ID = 10;
const PACKET_TRACK_EVENT = 11;
const PACKET_INTERNED_DATA = 12;
const PACKET_SEQUENCE_FLAGS = 13;
const PACKET_TRACK_DESCRIPTOR = 60;

const DESCRIPTOR_UUID = 1;
const DESCRIPTOR_NAME = 2;
const DESCRIPTOR_PROCESS = 3;
const DESCRIPTOR_PARENT = 5;
const DESCRIPTOR_COUNTER = 8;
const PROCESS_PID = 1;
const PROCESS_NAME = 6;

const EVENT_ANNOTATIONS = 4;
const EVENT_TYPE = 9;
const EVENT_NAME_IID = 10;
const EVENT_TRACK = 11;
const EVENT_NAME = 23;
const EVENT_COUNTER_VALUE = 30;
const TYPE_BEGIN = 1;
const TYPE_END = 2;
const TYPE_INSTANT = 3;
const TYPE_COUNTER = 4;

const ANNOTATION_NAME_IID = 1;
const ANNOTATION_UINT = 3;
const ANNOTATION_INT = 4;
const ANNOTATION_STRING = 6;
const ANNOTATION_POINTER = 7;
const INTERNED_EVENT_NAMES = 2;
const INTERNED_ANNOTATION_NAMES = 3;
const INTERNED_IID = 1;
const INTERNED_NAME = 2;

const FLAG_STATE_CLEARED = 1;
const FLAG_NEEDS_STATE = 2;
const SEQUENCE = 1;
const PROCESS_UUID = 1;
/** Names that are written once and then by number; the rest is written each time. */
const INTERNED_MAX = 10_000;

export class PerfettoWriter implements TimelineSink {
  private readonly out: ChunkedSink;
  private readonly eventNames = new Map<string, number>();
  private readonly annotationNames = new Map<string, number>();
  private readonly frame = new ProtobufWriter();
  private readonly packet = new ProtobufWriter();
  private readonly event = new ProtobufWriter();
  private readonly part = new ProtobufWriter();

  constructor(sink: ByteSink, processName: string) {
    this.out = new ChunkedSink(sink);
    const descriptor = new ProtobufWriter().varint(DESCRIPTOR_UUID, PROCESS_UUID).message(DESCRIPTOR_PROCESS, new ProtobufWriter().varint(PROCESS_PID, 1).string(PROCESS_NAME, processName));
    this.packet.varint(PACKET_SEQUENCE_ID, SEQUENCE).varint(PACKET_SEQUENCE_FLAGS, FLAG_STATE_CLEARED).message(PACKET_TRACK_DESCRIPTOR, descriptor);
    this.emit();
  }

  track(track: number, name: string, kind: 'events' | 'counter'): void {
    const descriptor = new ProtobufWriter().varint(DESCRIPTOR_UUID, uuidOf(track)).varint(DESCRIPTOR_PARENT, PROCESS_UUID).string(DESCRIPTOR_NAME, name);
    if (kind === 'counter') descriptor.message(DESCRIPTOR_COUNTER, new ProtobufWriter());
    this.packet.varint(PACKET_SEQUENCE_ID, SEQUENCE).message(PACKET_TRACK_DESCRIPTOR, descriptor);
    this.emit();
  }

  slice(track: number, fromNs: number, durationNs: number, name: string, details: TimelineArguments): void {
    this.named(TYPE_BEGIN, track, fromNs, name, details);
    this.event.clear();
    this.event.varint(EVENT_TYPE, TYPE_END).varint(EVENT_TRACK, uuidOf(track));
    this.finish(fromNs + durationNs);
  }

  instant(track: number, ns: number, name: string, details: TimelineArguments): void {
    this.named(TYPE_INSTANT, track, ns, name, details);
  }

  counter(track: number, ns: number, value: number): void {
    this.event.clear();
    this.event.varint(EVENT_TYPE, TYPE_COUNTER).varint(EVENT_TRACK, uuidOf(track)).varint(EVENT_COUNTER_VALUE, value);
    this.finish(ns);
  }

  end(): void {
    this.out.flush();
  }

  private named(type: number, track: number, ns: number, name: string, details: TimelineArguments): void {
    const interned = new ProtobufWriter();
    const iid = this.intern(this.eventNames, INTERNED_EVENT_NAMES, name, interned);
    this.event.clear();
    this.event.varint(EVENT_TYPE, type).varint(EVENT_TRACK, uuidOf(track));
    if (iid === undefined) this.event.string(EVENT_NAME, name);
    else this.event.varint(EVENT_NAME_IID, iid);
    for (const [key, value] of Object.entries(details)) {
      const keyIid = this.intern(this.annotationNames, INTERNED_ANNOTATION_NAMES, key, interned) ?? 0;
      this.part.clear();
      this.part.varint(ANNOTATION_NAME_IID, keyIid);
      if (typeof value === 'string') this.part.string(ANNOTATION_STRING, value);
      // 64-bit values are addresses and registers: hexadecimal in the tool.
      else if (typeof value === 'bigint') this.part.varint(ANNOTATION_POINTER, value);
      else this.part.varint(value < 0 ? ANNOTATION_INT : ANNOTATION_UINT, value);
      this.event.message(EVENT_ANNOTATIONS, this.part);
    }
    if (interned.length > 0) this.packet.message(PACKET_INTERNED_DATA, interned);
    this.finish(ns);
  }

  private intern(names: Map<string, number>, field: number, name: string, interned: ProtobufWriter): number | undefined {
    const known = names.get(name);
    if (known !== undefined) return known;
    if (names.size >= INTERNED_MAX) return undefined;
    const iid = names.size + 1;
    names.set(name, iid);
    interned.message(field, new ProtobufWriter().varint(INTERNED_IID, iid).string(INTERNED_NAME, name));
    return iid;
  }

  private finish(ns: number): void {
    this.packet.varint(PACKET_TIMESTAMP, ns).varint(PACKET_SEQUENCE_ID, SEQUENCE).varint(PACKET_SEQUENCE_FLAGS, FLAG_NEEDS_STATE).message(PACKET_TRACK_EVENT, this.event);
    this.emit();
  }

  private emit(): void {
    this.frame.clear();
    this.frame.message(PACKET, this.packet);
    this.out.bytes(this.frame.view());
    this.packet.clear();
  }
}

const uuidOf = (track: number): number => track + 100;
