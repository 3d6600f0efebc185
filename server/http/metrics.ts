/** What Prometheus reads: text format 0.0.4. */

/** Upper bounds of request durations, s. */
const BOUNDS = [0.005, 0.025, 0.1, 0.5, 2.5, 10] as const;

interface Durations {
  readonly buckets: number[];
  sum: number;
  count: number;
}

export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly value: number;
}

export class Metrics {
  /** By method, route and status. */
  private readonly requests = new Map<string, Durations>();
  /** Refused before they had a route. */
  refusedSockets = 0;
  sockets = 0;
  sessions = 0;
  /** Console bytes that slow readers missed. */
  gapBytes = 0;

  request(method: string, route: string, status: number, seconds: number): void {
    const key = `method="${method}",route="${route}",status="${status}"`;
    let durations = this.requests.get(key);
    if (durations === undefined) this.requests.set(key, (durations = { buckets: BOUNDS.map(() => 0), sum: 0, count: 0 }));
    BOUNDS.forEach((bound, i) => seconds <= bound && durations.buckets[i]++);
    durations.sum += seconds;
    durations.count++;
  }

  /** `more`: what others count. */
  text(more: readonly Gauge[]): string {
    const lines: string[] = [];
    const add = ({ name, help, type, value }: Gauge): void => void lines.push(`# HELP chronovisor_${name} ${help}`, `# TYPE chronovisor_${name} ${type}`, `chronovisor_${name} ${value}`);
    const own: readonly Gauge[] = [
      { name: 'websockets', help: 'open WebSockets', type: 'gauge', value: this.sockets },
      { name: 'debug_sessions', help: 'debug sessions', type: 'gauge', value: this.sessions },
      { name: 'websockets_refused_total', help: 'WebSockets that were refused', type: 'counter', value: this.refusedSockets },
      { name: 'console_gap_bytes_total', help: 'console bytes that slow readers of live runs missed', type: 'counter', value: this.gapBytes },
    ];
    for (const gauge of [...own, ...more]) add(gauge);
    lines.push('# HELP chronovisor_request_seconds time from request to the end of the answer', '# TYPE chronovisor_request_seconds histogram');
    for (const [key, { buckets, sum, count }] of this.requests) {
      BOUNDS.forEach((bound, i) => lines.push(`chronovisor_request_seconds_bucket{${key},le="${bound}"} ${buckets[i]}`));
      lines.push(`chronovisor_request_seconds_bucket{${key},le="+Inf"} ${count}`, `chronovisor_request_seconds_sum{${key}} ${sum}`, `chronovisor_request_seconds_count{${key}} ${count}`);
    }
    return `${lines.join('\n')}\n`;
  }
}
