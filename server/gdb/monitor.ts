/** What `monitor COMMAND` does in gdb (the packet qRcmd). Answers are lines for people. */
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { currentTask } from '../../engine/debug/linux.ts';
import { SeekError, type TimeTravel } from '../../engine/debug/time-travel.ts';
import { eventAt } from '../../engine/log/event-batch.ts';
import { codeAt, taskText } from '../cli/bisect-common.ts';
import { lineOf } from '../cli/event-text.ts';
import { grouped, virtualTime } from '../cli/format.ts';
import { PLACE_FORMS, parsePlace } from '../../engine/debug/places.ts';

const HELP = `when          position, event and virtual time of the present, and where the recording ends
seek WHERE    goes to ${PLACE_FORMS}
              gdb does not notice: follow it with \`maintenance flush register-cache\` and \`maintenance flush dcache\`
symbol NAME   where it is; of an ADDRESS, what is there: the symbols of the recording, a Linux kernel's own if it has no others
marks         the marks of the recording
events [N]    the N events before the present and the N after it (5 unless told)
help          this
`;
const EVENTS_DEFAULT = 5;
const EVENTS_MAX = 500;
const MARKS_MAX = 1000;

/** Throws DivergedError. */
export function monitor(travel: TimeTravel, line: string, symbols?: GuestSymbols): string {
  const [, command, rest] = /^\s*(\S*)\s*(.*?)\s*$/s.exec(line) ?? ['', '', ''];
  switch (command) {
    case 'when':
      return when(travel, symbols);
    case 'seek':
      return seek(travel, rest, symbols);
    case 'symbol':
      return symbol(symbols, rest);
    case 'marks':
      return marks(travel);
    case 'events':
      return events(travel, rest);
    case '':
    case 'help':
      return HELP;
    default:
      return `there is no command ${JSON.stringify(command)}; these are:\n${HELP}`;
  }
}

function when(travel: TimeTravel, symbols: GuestSymbols | undefined): string {
  return `@${grouped(travel.position)} of @${grouped(travel.last)}, event ${grouped(travel.records)}, ${virtualTime(travel.machine.nowNs())}${travel.isAtEnd ? ', the end' : ''}\n${symbols === undefined ? '' : place(travel, symbols)}`;
}

/** What runs: the function, the line of the source, the task. */
function place({ machine }: TimeTravel, symbols: GuestSymbols): string {
  const task = currentTask(machine, symbols);
  return `at ${codeAt(symbols, readRegister(machine, 'rip') ?? 0n)}${task === undefined ? '' : `, task ${taskText(task)}`}\n`;
}

function symbol(symbols: GuestSymbols | undefined, text: string): string {
  if (symbols === undefined || symbols.origin === 'none') return 'the recording has no symbols\n';
  if (/^0x[0-9a-f]{1,16}$/i.test(text)) return `${codeAt(symbols, BigInt(text))}\n`;
  const found = symbols.table.named(text);
  if (found.length === 0) return `there is no symbol ${JSON.stringify(text)}\n`;
  return found.map(({ address, name, file }) => `0x${address.toString(16)}  ${name}${file === undefined ? '' : ` (${file})`}\n`).join('');
}

function seek(travel: TimeTravel, where: string, symbols: GuestSymbols | undefined): string {
  const go = parsePlace(where);
  if (go === undefined) return `seek ${JSON.stringify(where)}: give ${PLACE_FORMS}\n`;
  try {
    go(travel);
  } catch (error) {
    if (error instanceof SeekError) return `${error.message}\n`;
    throw error;
  }
  return when(travel, symbols);
}

function marks(travel: TimeTravel): string {
  const lines: string[] = [];
  for (const event of travel.reader.events({ kinds: ['mark'] })) {
    if (event.kind !== 'mark') continue;
    if (lines.length === MARKS_MAX) {
      lines.push('... and more\n');
      break;
    }
    lines.push(`@${grouped(event.position)}  ${event.name}\n`);
  }
  return lines.length === 0 ? 'the recording has no marks\n' : lines.join('');
}

function events(travel: TimeTravel, text: string): string {
  const count = text === '' ? EVENTS_DEFAULT : /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(count >= 1 && count <= EVENTS_MAX)) return `events ${JSON.stringify(text)}: give a number from 1 to ${EVENTS_MAX}\n`;
  const { reader, records } = travel;
  const from = Math.max(0, records - count);
  const to = Math.min(reader.records, records + count);
  const lines: string[] = [];
  for (let index = from; index <= to; index++) {
    if (index === records) lines.push(`@${travel.position}`.padEnd(14), '-- here --\n');
    if (index < to) lines.push(`${event(travel, index)}\n`);
  }
  return lines.join('');
}

function event({ reader }: TimeTravel, index: number): string {
  const block = reader.eventBlocks.findLastIndex(({ firstRecord }) => firstRecord <= index);
  const batch = reader.batch(block);
  return lineOf(eventAt(batch, index - batch.firstRecord));
}
