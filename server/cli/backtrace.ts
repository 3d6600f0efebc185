/** `backtrace`: who called, at any moment of a recording. */
import { stackNames } from '../../engine/debug/beginning.ts';
import { FRAMES_MAX, type Frame, callStacking, codeAddress } from '../../engine/debug/call-stack.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { finish } from '../../engine/debug/steps.ts';
import type { VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, codeAt, goTo, taskAt, taskLines, withRecording } from './bisect-common.ts';
import type { Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { toJson } from './output.ts';

const SPEC: VerbSpec = {
  name: 'backtrace',
  synopsis: 'FILE --at WHERE [options]',
  summary: 'Shows the call stack at any moment: functions, interrupts and system calls, and where each was called.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'at', value: 'WHERE', help: '@POSITION, N%, event:N, mark:NAME or end (default: end)' },
    { name: 'frames', value: 'N', help: `so many at most (default: ${FRAMES_MAX})` },
    { name: 'look-back', value: 'N', help: 'instructions that are replayed to find old calls (default: 32M)' },
    ...COMMON_FIND_OPTIONS,
  ],
  notes: ['It comes from the calls and returns that were made, so neither frame pointers nor unwind tables are needed. A frame without a position was called longer ago.'],
};

export const backtrace: Verb = {
  spec: SPEC,
  run: async (parsed, context) => withRecording('backtrace', parsed, context, (opened) => {
    const { travel, guest } = opened;
    const position = goTo(travel, parsed, 'at', 'end');
    const framesMax = parsed.count('frames', 1);
    const instructionsMax = parsed.count('look-back', 1);
    const frames = finish(callStacking(travel, guest, { ...(framesMax === undefined ? {} : { framesMax }), ...(instructionsMax === undefined ? {} : { instructionsMax }) }));
    const task = taskAt(opened);
    if (parsed.has('json')) {
      context.out.write(`${toJson({ verb: 'backtrace', file: parsed.operands[0], position, task, frames: framesJson(guest, frames), exitCode: 0 })}\n`);
      return exitCode('ok');
    }
    context.out.write(`@${grouped(position)}\n`);
    for (const line of taskLines(task)) context.out.write(`  ${line}\n`);
    const told = stackNames(guest, frames);
    frames.forEach((frame, i) => {
      const names = { tell: () => told[i], lineOf: () => guest.lineOf(codeAddress(frames, i)) };
      context.out.write(`#${String(i).padEnd(3)} ${codeAt(names, frame.rip)}${madeText(frame)}\n`);
    });
    return exitCode('ok');
  }),
}; // prettier-ignore

export function framesJson(guest: GuestSymbols, frames: readonly Frame[]): readonly object[] {
  const told = stackNames(guest, frames);
  return frames.map((frame, i) => ({ ...frame, function: frame.function?.name, at: told[i], source: guest.lineOf(codeAddress(frames, i)) }));
}

/** How the frame came to be, and when. */
export function madeText({ kind, calledAt }: Frame): string {
  const when = calledAt === undefined ? '' : ` at @${grouped(calledAt)}`;
  if (kind === 'top') return '';
  return `, ${kind === 'call' ? 'called' : kind === 'interrupt' ? 'entered by an interrupt or exception' : 'entered by a system call'}${when}`;
}
