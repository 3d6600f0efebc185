/** A migration that really happens, as lines for people: while it goes on, and what it took beside what was expected. */
import type { MigrationOutcome } from '../../engine/analysis/migration/outcome.ts';
import { wallTime } from '../../engine/analysis/migration/quantities.ts';
import type { Measured } from '../../engine/analysis/migration/measured.ts';
import type { SourceProgress } from '../migration/source.ts';
import { grouped, megabytes, table } from './format.ts';

export function progressText({ phase, sync, remainingPages, transferred, nowNs }: SourceProgress): string {
  return `${phase}, sync ${sync}: ${megabytes(transferred)} sent, ${grouped(remainingPages)} pages left, ${wallTime(nowNs / 1e6)}`;
}

export function resultLines(measured: Measured, predicted: MigrationOutcome | undefined): string[] {
  const row = (name: string, of: (each: Measured | NonNullable<typeof predicted>) => string): string[] => [name, of(measured), predicted === undefined ? '-' : of(predicted)];
  return table([
    [measured.policy, 'measured', 'predicted'],
    row('verdict', ({ converges, reason }) => (converges ? 'converges' : `does not: ${reason}`)),
    row('total time', ({ totalTimeMs }) => wallTime(totalTimeMs)),
    ...(measured.heldMs >= 1 ? [['of it held', `${wallTime(measured.heldMs)}: the host was too slow`, '-']] : []),
    row('downtime', ({ downtimeMs }) => wallTime(downtimeMs)),
    row('transferred', ({ ram }) => megabytes(ram.transferred)),
    row('normal', ({ ram }) => `${grouped(ram.normal)} pages`),
    row('duplicate (zero)', ({ ram }) => `${grouped(ram.duplicate)} pages`),
    row('dirty sync count', ({ ram }) => String(ram.dirtySyncCount)),
    row('precopy bytes', ({ ram }) => megabytes(ram.precopyBytes)),
    row('downtime bytes', ({ ram }) => megabytes(ram.downtimeBytes)),
    row('postcopy bytes', ({ ram }) => megabytes(ram.postcopyBytes)),
    row('postcopy requests', ({ ram }) => grouped(ram.postcopyRequests)),
    row('throughput', ({ ram }) => `${ram.mbps.toFixed(1)} Mbit/s`),
  ]);
}
