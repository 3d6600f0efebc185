/** Everything a key can do on the run page. The handler and the key sheet are made from this one table. */
import type { EventTable } from './event-table.ts';
import type { RunModel } from './run-model.ts';
import type { Timeline } from './timeline.ts';

export interface CommandTargets {
  readonly model: RunModel;
  readonly timeline: Timeline | undefined;
  readonly table: EventTable | undefined;
  togglePlay(): void;
  focusPosition(): void;
  toggleHelp(): void;
}

export interface Command {
  /** As the key sheet shows them. */
  readonly keys: readonly string[];
  readonly title: string;
  /** Letters by place (event.code), so that other layouts work; the rest by what they type (event.key). */
  matches(event: KeyboardEvent): boolean;
  run(targets: CommandTargets): void;
}

const key =
  (name: string, shift = false) =>
  (event: KeyboardEvent): boolean =>
    event.key === name && event.shiftKey === shift;
const letter =
  (code: string) =>
  (event: KeyboardEvent): boolean =>
    event.code === `Key${code}` && !event.shiftKey;
const typed =
  (character: string) =>
  (event: KeyboardEvent): boolean =>
    event.key === character;

export const COMMANDS: readonly Command[] = [
  { keys: ['→'], title: 'Next event that is shown', matches: key('ArrowRight'), run: ({ model }) => model.moveToShown(1) },
  { keys: ['←'], title: 'Previous event that is shown', matches: key('ArrowLeft'), run: ({ model }) => model.moveToShown(-1) },
  { keys: ['.'], title: 'Next event of the same kind', matches: typed('.'), run: ({ model }) => model.moveToSameKind(1) },
  { keys: [','], title: 'Previous event of the same kind', matches: typed(','), run: ({ model }) => model.moveToSameKind(-1) },
  { keys: ['Shift', '→'], title: 'One instruction forward', matches: key('ArrowRight', true), run: ({ model }) => model.moveToPosition(model.cursor.position + 1) },
  { keys: ['Shift', '←'], title: 'One instruction back', matches: key('ArrowLeft', true), run: ({ model }) => model.moveToPosition(model.cursor.position - 1) },
  { keys: ['Home'], title: 'Start of the recording', matches: key('Home'), run: ({ model }) => model.moveToRow(0) },
  { keys: ['End'], title: 'End of the recording', matches: key('End'), run: ({ model }) => model.moveToRow(model.count - 1) },
  { keys: ['Space'], title: 'Play, pause', matches: key(' '), run: (targets) => targets.togglePlay() },
  { keys: ['W'], title: 'Zoom in', matches: letter('W'), run: ({ timeline }) => timeline?.zoom(0.6) },
  { keys: ['S'], title: 'Zoom out', matches: letter('S'), run: ({ timeline }) => timeline?.zoom(1 / 0.6) },
  { keys: ['A'], title: 'Move the window left', matches: letter('A'), run: ({ timeline }) => timeline?.pan(-0.15) },
  { keys: ['D'], title: 'Move the window right', matches: letter('D'), run: ({ timeline }) => timeline?.pan(0.15) },
  { keys: ['F'], title: 'Around the cursor; again: the whole run', matches: letter('F'), run: ({ timeline }) => timeline?.focusCursor() },
  { keys: ['G'], title: 'Go to a position', matches: letter('G'), run: (targets) => targets.focusPosition() },
  { keys: ['/'], title: 'Filter the events', matches: typed('/'), run: ({ table }) => table?.focusFilter() },
  { keys: ['V'], title: 'Replay and verify', matches: letter('V'), run: ({ model }) => model.verify() },
  { keys: ['?'], title: 'These keys', matches: typed('?'), run: (targets) => targets.toggleHelp() },
];

/** True if the key belongs to the control that has the focus. */
export function belongsToControl(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  if (target.matches('input, textarea, select')) return true;
  return target.matches('button, a, summary') && (event.key === ' ' || event.key === 'Enter');
}
