/** Places of a recording as people write them: `@POSITION`, `N%`, `event:N`, `mark:NAME`, `end`. */
import { parsePosition } from '../log/position.ts';
import { SeekError, type TimeTravel } from './time-travel.ts';

export const PLACE_FORMS = '@1234567, 50%, event:1000, mark:NAME or end';

/** Undefined if it is no place. What it returns goes there, and throws SeekError if the recording has no such place, DivergedError. */
export function parsePlace(text: string): ((travel: TimeTravel) => void) | undefined {
  if (text === 'end') return (travel) => travel.seek(Number.MAX_SAFE_INTEGER);
  if (text.startsWith('mark:')) return (travel) => travel.seekMark(text.slice(5));
  const event = /^event:(\d{1,15})$/.exec(text);
  if (event !== null) return (travel) => travel.seekRecord(Number(event[1]));
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text);
  if (percent !== null) return (travel) => travel.seekPercent(Number(percent[1]));
  const position = parsePosition(text.startsWith('@') ? text : `@${text}`);
  if (position === undefined) return undefined;
  return (travel) => {
    if (position > travel.last) throw new SeekError(`@${position} is after the end: the recording ends at @${travel.last}`);
    travel.seek(position);
  };
}
