/** The Trace Event Format of Chrome, as JSON: for chrome://tracing, Perfetto, speedscope and others. Google, "Trace Event Format". Times are in us. */
import type { ByteSink } from '../../engine/log/storage.ts';
import { ChunkedSink } from './chunks.ts';
import type { Argument, TimelineArguments, TimelineSink } from './timeline.ts';

export class ChromeWriter implements TimelineSink {
  private readonly out: ChunkedSink;
  private isFirst = true;
  private readonly counters = new Map<number, string>();

  constructor(sink: ByteSink, processName: string) {
    this.out = new ChunkedSink(sink);
    this.out.write('{"displayTimeUnit":"ns","traceEvents":[');
    this.event({ ph: 'M', name: 'process_name', pid: 1, args: { name: processName } });
  }

  track(track: number, name: string, kind: 'events' | 'counter'): void {
    if (kind === 'counter') {
      this.counters.set(track, name);
      return;
    }
    this.event({ ph: 'M', name: 'thread_name', pid: 1, tid: track, args: { name } });
    this.event({ ph: 'M', name: 'thread_sort_index', pid: 1, tid: track, args: { sort_index: track } });
  }

  slice(track: number, fromNs: number, durationNs: number, name: string, details: TimelineArguments): void {
    this.event({ ph: 'X', name, cat: 'guest', pid: 1, tid: track, ts: fromNs / 1000, dur: durationNs / 1000, ...printable(details) });
  }

  instant(track: number, ns: number, name: string, details: TimelineArguments): void {
    this.event({ ph: 'i', s: 't', name, cat: 'guest', pid: 1, tid: track, ts: ns / 1000, ...printable(details) });
  }

  counter(track: number, ns: number, value: number): void {
    this.event({ ph: 'C', name: this.counters.get(track) ?? 'counter', pid: 1, ts: ns / 1000, args: { value } });
  }

  end(): void {
    this.out.write(']}\n');
    this.out.flush();
  }

  private event(event: Readonly<Record<string, unknown>>): void {
    this.out.write(`${this.isFirst ? '\n' : ',\n'}${JSON.stringify(event)}`);
    this.isFirst = false;
  }
}

/** Without `args` if there are none: some readers print them after the name. */
function printable(details: TimelineArguments): { readonly args?: Record<string, string | number> } {
  const entries = Object.entries(details);
  return entries.length === 0 ? {} : { args: Object.fromEntries(entries.map(([name, value]: [string, Argument]) => [name, typeof value === 'bigint' ? `0x${value.toString(16)}` : value])) };
}
