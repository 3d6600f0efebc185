/**
 * A recording as a timeline: tracks with slices, instants and counters, which perfetto.ts and chrome.ts write down in their formats.
 *
 *     guest ─┬─ vCPU 0          running | idle
 *            ├─ phases          from mark to mark
 *            ├─ exit io, ...    a track a reason; as long as the device access took in virtual time, else an instant
 *            ├─ interrupt lapic raised, injected, acknowledged, eoi
 *            ├─ uart 0x3f8, timer lapic, virtio-block 1, ...   requests last until they are complete, in as many lanes as are needed
 *            ├─ input console, ...
 *            └─ dirty pages     a counter
 *
 * Times are virtual ns since power-on. Nothing is sorted and nothing is kept but what is open: slices are told when they end.
 */
import type { ExitEvent, LogEvent } from '../../engine/log/events.ts';
import { eventAt } from '../../engine/log/event-batch.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { reasonName } from '../cli/event-text.ts';

export type Argument = string | number | bigint;
export type TimelineArguments = Readonly<Record<string, Argument>>;

export interface TimelineSink {
  /** Before the first use of a track. Numbers count from 1. */
  track(track: number, name: string, kind: 'events' | 'counter'): void;
  /** Slices of one track do not overlap. */
  slice(track: number, fromNs: number, durationNs: number, name: string, details: TimelineArguments): void;
  instant(track: number, ns: number, name: string, details: TimelineArguments): void;
  counter(track: number, ns: number, value: number): void;
}

/** Open requests and their lanes; a guest with more at once gets the last lane for the rest. */
const LANES_MAX = 64;
/** Tracks; a log may name any number of devices and timers. */
const TRACKS_MAX = 1000;

interface OpenRequest {
  readonly fromNs: number;
  readonly lane: number;
  readonly details: TimelineArguments;
}

export class Timeline {
  private readonly sink: TimelineSink;
  private readonly tracks = new Map<string, number>();
  private readonly open = new Map<string, OpenRequest>();
  private readonly lanesUsed = new Map<string, Set<number>>();
  private runningFromNs = 0;
  private phase: { readonly name: string; readonly fromNs: number } = { name: 'start', fromNs: 0 };
  private hasMarks = false;
  private dirtyPages = 0;

  constructor(sink: TimelineSink) {
    this.sink = sink;
    // These come first, in this order.
    this.trackOf('vCPU 0');
    this.trackOf('phases');
  }

  take(event: LogEvent, timeOffsetNs: number): void {
    const ns = event.position + timeOffsetNs;
    switch (event.kind) {
      case 'idle':
        if (ns > this.runningFromNs) this.sink.slice(this.trackOf('vCPU 0'), this.runningFromNs, ns - this.runningFromNs, 'running', {});
        this.sink.slice(this.trackOf('vCPU 0'), ns, event.ns, 'idle', {});
        this.runningFromNs = ns + event.ns;
        return;
      case 'exit':
        this.exit(event, ns);
        return;
      case 'interrupt':
        this.sink.instant(this.trackOf(`interrupt ${event.controller}`), ns, `${event.phase}${event.vector === undefined ? '' : ` vector ${event.vector}`}${event.line === undefined ? '' : ` line ${event.line}`}`, { position: event.position });
        return;
      case 'device':
        this.device(event.report, ns);
        return;
      case 'input':
        this.sink.instant(this.trackOf(`input ${event.input.kind}`), ns, event.input.kind === 'control' ? event.input.action : event.input.kind, 'bytes' in event.input ? { position: event.position, bytes: event.input.bytes.length } : { position: event.position });
        return;
      case 'mark':
        this.endPhase(ns);
        this.hasMarks = true;
        this.phase = { name: event.name, fromNs: ns };
        return;
      case 'dirty':
        this.dirtyPages += event.pages.length;
        if (event.more) return;
        this.sink.counter(this.trackOf('dirty pages', 'counter'), ns, this.dirtyPages);
        this.dirtyPages = 0;
        return;
      case 'digest':
        this.sink.instant(this.trackOf('digests'), ns, 'digest', { position: event.position, digest: event.digest });
        return;
      case 'end':
        this.sink.instant(this.trackOf('phases'), ns, `end: ${event.reason}`, { position: event.position });
    }
  }

  /** After the last event. */
  end(ns: number): void {
    if (ns > this.runningFromNs) this.sink.slice(this.trackOf('vCPU 0'), this.runningFromNs, ns - this.runningFromNs, 'running', {});
    this.endPhase(ns);
    for (const [key, { fromNs, lane, details }] of this.open) this.sink.slice(this.trackOf(laneName(key.slice(0, key.lastIndexOf(' ')), lane)), fromNs, Math.max(0, ns - fromNs), 'not complete', details);
    this.open.clear();
  }

  private exit({ reason, rip, detail, position }: ExitEvent, ns: number): void {
    const track = this.trackOf(`exit ${reasonName(reason)}`);
    const details: Record<string, Argument> = { position, rip };
    let name = reasonName(reason);
    switch (detail.kind) {
      case 'io':
        name = `${detail.write ? 'out' : 'in'} 0x${detail.port.toString(16)}`;
        details['value'] = detail.value;
        break;
      case 'mmio':
        name = `${detail.write ? 'write' : 'read'} 0x${detail.address.toString(16)}`;
        details['value'] = detail.value;
        break;
      case 'msr':
        name = `${detail.write ? 'wrmsr' : 'rdmsr'} 0x${detail.index.toString(16)}`;
        details['value'] = detail.value;
        break;
      case 'cpuid':
        name = `cpuid 0x${detail.leaf.toString(16)}`;
        details['subleaf'] = detail.subleaf;
        break;
      case 'cr':
        name = `${detail.access} cr${detail.cr}`;
        details['value'] = detail.value;
        break;
      case 'dr':
        name = `${detail.write ? 'write' : 'read'} dr${detail.dr}`;
        details['value'] = detail.value;
        break;
      case 'exception':
        name = `vector ${detail.vector}`;
        details['address'] = detail.address;
        break;
      case 'page-table':
        name = `level ${detail.level}`;
        details['address'] = detail.address;
        details['value'] = detail.value;
        break;
      case 'plain':
        details['qualification'] = detail.qualification;
    }
    if ('costNs' in detail && detail.costNs > 0) this.sink.slice(track, ns, detail.costNs, name, details);
    else this.sink.instant(track, ns, name, details);
  }

  private device(report: Extract<LogEvent, { kind: 'device' }>['report'], ns: number): void {
    switch (report.kind) {
      case 'uart-tx':
      case 'uart-rx':
        this.sink.instant(this.trackOf(`uart 0x${report.port.toString(16)}`), ns, `${report.kind === 'uart-tx' ? 'sends' : 'receives'} 0x${report.byte.toString(16).padStart(2, '0')}`, {});
        return;
      case 'timer-arm':
        this.sink.instant(this.trackOf(`timer ${report.timer}`), ns, 'armed', { atNs: report.atNs });
        return;
      case 'timer-fire':
        this.sink.instant(this.trackOf(`timer ${report.timer}`), ns, 'fires', {});
        return;
      case 'virtio-request': {
        const key = `${report.device} queue ${report.queue} ${report.head}`;
        const device = `${report.device} queue ${report.queue}`;
        const used = this.lanesUsed.get(device) ?? new Set<number>();
        this.lanesUsed.set(device, used);
        let lane = 0;
        while (used.has(lane) && lane < LANES_MAX) lane++;
        const details = { type: report.type, sector: report.sector, bytes: report.bytes, head: report.head };
        if (lane >= LANES_MAX || this.open.has(key)) {
          this.sink.instant(this.trackOf(device), ns, 'request', details);
          return;
        }
        used.add(lane);
        this.open.set(key, { fromNs: ns, lane, details });
        return;
      }
      case 'virtio-complete': {
        const device = `${report.device} queue ${report.queue}`;
        const key = `${device} ${report.head}`;
        const request = this.open.get(key);
        if (request === undefined) {
          this.sink.instant(this.trackOf(device), ns, 'complete', { status: report.status, bytes: report.bytes, head: report.head });
          return;
        }
        this.open.delete(key);
        this.lanesUsed.get(device)?.delete(request.lane);
        this.sink.slice(this.trackOf(laneName(device, request.lane)), request.fromNs, Math.max(0, ns - request.fromNs), 'request', { ...request.details, status: report.status });
        return;
      }
      case 'net-tx':
      case 'net-rx':
        this.sink.instant(this.trackOf(`${report.device} frames`), ns, report.kind === 'net-tx' ? 'sends' : 'receives', { bytes: report.bytes });
    }
  }

  private endPhase(ns: number): void {
    if (this.hasMarks || ns > this.phase.fromNs) this.sink.slice(this.trackOf('phases'), this.phase.fromNs, ns - this.phase.fromNs, this.phase.name, {});
  }

  private trackOf(name: string, kind: 'events' | 'counter' = 'events'): number {
    const known = this.tracks.get(name);
    if (known !== undefined) return known;
    if (this.tracks.size >= TRACKS_MAX && name !== 'other tracks') return this.trackOf('other tracks');
    const track = this.tracks.size + 1;
    this.tracks.set(name, track);
    this.sink.track(track, name, kind);
    return track;
  }
}

const laneName = (device: string, lane: number): string => (lane === 0 ? device : `${device} lane ${lane + 1}`);

/** Yields now and then, so that the caller can look after signals and progress. */
export function* tellTimeline(reader: LogReader, sink: TimelineSink): Generator<number> {
  const timeline = new Timeline(sink);
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    const entry = reader.eventBlocks[i];
    for (const { event, timeOffsetNs } of entriesOf(reader, i)) timeline.take(event, timeOffsetNs);
    yield entry.lastPosition;
  }
  const last = reader.eventBlocks.length === 0 ? 0 : reader.batch(reader.eventBlocks.length - 1).endTimeOffsetNs;
  timeline.end(reader.lastPosition + last);
}

/** The events of one block. */
export function* entriesOf(reader: LogReader, block: number): Generator<{ readonly index: number; readonly timeOffsetNs: number; readonly event: LogEvent }> {
  const batch = reader.batch(block);
  for (let i = 0; i < batch.count; i++) yield { index: batch.firstRecord + i, timeOffsetNs: batch.timeOffsetNs[i], event: eventAt(batch, i) };
}
