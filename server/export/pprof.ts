/** pprof's profile.proto, gzipped: `go tool pprof -http=: FILE`. Field numbers: google/pprof proto/profile.proto. */
import { gzipSync } from 'node:zlib';
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { ProtobufWriter } from './protobuf.ts';

const PROFILE = { sampleType: 1, sample: 2, mapping: 3, location: 4, function: 5, stringTable: 6, durationNanos: 10, comment: 13, defaultSampleType: 14 } as const;

export function pprofBytes(profile: ExitProfile, withSleep: boolean): Uint8Array {
  const strings = new Map<string, number>([['', 0]]);
  const stringOf = (text: string): number => {
    const known = strings.get(text);
    if (known !== undefined) return known;
    strings.set(text, strings.size);
    return strings.size - 1;
  };
  const out = new ProtobufWriter();
  const type = (name: string, unit: string): void => void out.message(PROFILE.sampleType, new ProtobufWriter().varint(1, stringOf(name)).varint(2, stringOf(unit)));
  type('exits', 'count');
  if (profile.unit !== undefined) type(profile.unit === 'ns' ? 'time' : 'cycles', profile.unit === 'ns' ? 'nanoseconds' : 'count');

  // A frame is a location and a function with the same number: there are no addresses of lines.
  const frames = new Map<string, number>();
  for (const { frames: stack, task, count, cost, isIdle } of profile.stacks) {
    if (isIdle && !withSleep) continue;
    const locations = stack.map((name) => {
      const known = frames.get(name);
      if (known !== undefined) return known;
      frames.set(name, frames.size + 1);
      return frames.size;
    });
    const sample = new ProtobufWriter().packed(1, locations.reverse()).packed(2, [count, ...(profile.unit === undefined ? [] : [Math.round(cost ?? 0)])]);
    if (isIdle) sample.message(3, new ProtobufWriter().varint(1, stringOf('sleep')).varint(2, stringOf('yes')));
    if (task !== undefined) sample.message(3, new ProtobufWriter().varint(1, stringOf('task')).varint(2, stringOf(task)));
    out.message(PROFILE.sample, sample);
  }
  for (const id of frames.values()) out.message(PROFILE.location, new ProtobufWriter().varint(1, id).message(4, new ProtobufWriter().varint(1, id)));
  for (const [name, id] of frames) out.message(PROFILE.function, new ProtobufWriter().varint(1, id).varint(2, stringOf(name)).varint(3, stringOf(name)));
  if (profile.durationNs !== undefined) out.varint(PROFILE.durationNanos, Math.round(profile.durationNs));
  for (const note of [`${profile.source.kind} ${profile.source.name}${profile.source.under === undefined ? '' : `: ${profile.source.under}`}`, ...profile.notes]) out.varint(PROFILE.comment, stringOf(note));
  out.varint(PROFILE.defaultSampleType, stringOf(profile.unit === undefined ? 'exits' : profile.unit === 'ns' ? 'time' : 'cycles'));
  for (const text of strings.keys()) out.string(PROFILE.stringTable, text);
  return gzipSync(out.view());
}
