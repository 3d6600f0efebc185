/** Everything a key can do on the run page. The handler, the key sheet and the palette are made from this one table. */
import type { EventTable } from './event-table.ts';
import type { RunModel } from './run-model.ts';
import type { Timeline } from './timeline.ts';

export interface CommandTargets {
  readonly model: RunModel;
  readonly timeline: Timeline | undefined;
  readonly table: EventTable | undefined;
  togglePlay(): void;
  focusPosition(): void;
  /** Brings a panel to the front; `at`: an expression that it is to show. */
  showPanel(panel: string, at?: string): void;
  openPalette(): void;
  toggleHelp(): void;
  nextTheme(): void;
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
/** Only while the timeline has the focus: elsewhere these keys scroll. */
const onTimeline =
  (name: string) =>
  (event: KeyboardEvent): boolean =>
    key(name)(event) && event.composedPath()[0] instanceof HTMLCanvasElement;
const letter =
  (code: string, shift = false) =>
  (event: KeyboardEvent): boolean =>
    event.code === `Key${code}` && event.shiftKey === shift && !event.ctrlKey && !event.metaKey;
/** With Control, or Command where that is the key. */
const control =
  (code: string, shift = false) =>
  (event: KeyboardEvent): boolean =>
    event.code === `Key${code}` && (event.ctrlKey || event.metaKey) && event.shiftKey === shift;
const typed =
  (character: string) =>
  (event: KeyboardEvent): boolean =>
    event.key === character;

export interface CommandGroup {
  readonly title: string;
  readonly commands: readonly Command[];
}

export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    title: 'Events and places',
    commands: [
      { keys: ['→'], title: 'Next event that is shown', matches: key('ArrowRight'), run: ({ model }) => model.moveToShown(1) },
      { keys: ['←'], title: 'Previous event that is shown', matches: key('ArrowLeft'), run: ({ model }) => model.moveToShown(-1) },
      { keys: ['.'], title: 'Next event of the chosen track, or of the same kind', matches: typed('.'), run: ({ timeline }) => timeline?.goInTrack(1) },
      { keys: [','], title: 'Previous event of the chosen track, or of the same kind', matches: typed(','), run: ({ timeline }) => timeline?.goInTrack(-1) },
      { keys: ['Home'], title: 'Start of the recording', matches: key('Home'), run: ({ model }) => model.moveToRow(0) },
      { keys: ['End'], title: 'End of the recording', matches: key('End'), run: ({ model }) => model.moveToRow(model.count - 1) },
      { keys: ['G'], title: 'Go to a position', matches: letter('G'), run: (targets) => targets.focusPosition() },
      { keys: ['/'], title: 'Filter the events', matches: typed('/'), run: ({ table }) => table?.focusFilter() },
      { keys: ['Z'], title: 'Back to where the cursor was', matches: letter('Z'), run: ({ model }) => model.undo() },
      { keys: ['Shift', 'Z'], title: 'Forth again', matches: letter('Z', true), run: ({ model }) => model.redo() },
    ],
  },
  {
    title: 'Steps and runs',
    commands: [
      { keys: ['Shift', '→'], title: 'One instruction forward', matches: key('ArrowRight', true), run: ({ model }) => model.travel('instruction', 'forward') },
      { keys: ['Shift', '←'], title: 'One instruction back', matches: key('ArrowLeft', true), run: ({ model }) => model.travel('instruction', 'backward') },
      { keys: ['F6'], title: 'Step over calls', matches: key('F6'), run: ({ model }) => model.travel('over', 'forward') },
      { keys: ['Shift', 'F6'], title: 'Step back over calls', matches: key('F6', true), run: ({ model }) => model.travel('over', 'backward') },
      { keys: ['F7'], title: 'Next line of the source', matches: key('F7'), run: ({ model }) => model.travel('over-line', 'forward') },
      { keys: ['Shift', 'F7'], title: 'Line of the source before', matches: key('F7', true), run: ({ model }) => model.travel('over-line', 'backward') },
      { keys: ['F8'], title: 'Run until this function returns', matches: key('F8'), run: ({ model }) => model.travel('out', 'forward') },
      { keys: ['Shift', 'F8'], title: 'Back to the call of this function', matches: key('F8', true), run: ({ model }) => model.travel('out', 'backward') },
      { keys: ['F9'], title: 'Run to the next point', matches: key('F9'), run: ({ model }) => model.travel('continue', 'forward') },
      { keys: ['Shift', 'F9'], title: 'Run back to the point before', matches: key('F9', true), run: ({ model }) => model.travel('continue', 'backward') },
      { keys: ['Esc'], title: 'Stop a run where it is', matches: key('Escape'), run: ({ model }) => model.interrupt() },
      { keys: ['Space'], title: 'Play, pause', matches: key(' '), run: (targets) => targets.togglePlay() },
    ],
  },
  {
    title: 'Timeline',
    commands: [
      { keys: ['W'], title: 'Zoom in', matches: letter('W'), run: ({ timeline }) => timeline?.zoom(0.6) },
      { keys: ['S'], title: 'Zoom out', matches: letter('S'), run: ({ timeline }) => timeline?.zoom(1 / 0.6) },
      { keys: ['A'], title: 'Move the window left', matches: letter('A'), run: ({ timeline }) => timeline?.pan(-0.15) },
      { keys: ['D'], title: 'Move the window right', matches: letter('D'), run: ({ timeline }) => timeline?.pan(0.15) },
      { keys: ['F'], title: 'Around the cursor; again: the whole run', matches: letter('F'), run: ({ timeline }) => timeline?.focusCursor() },
      { keys: ['↓'], title: 'On the timeline: choose the track below', matches: onTimeline('ArrowDown'), run: ({ timeline }) => timeline?.chooseTrack(1) },
      { keys: ['↑'], title: 'On the timeline: choose the track above', matches: onTimeline('ArrowUp'), run: ({ timeline }) => timeline?.chooseTrack(-1) },
      { keys: ['Enter'], title: 'On the timeline: parts of the chosen track', matches: onTimeline('Enter'), run: ({ timeline }) => timeline?.toggleTrack() },
      { keys: ['T'], title: 'Exits by reason, interrupts by vector, devices, dirty pages', matches: letter('T'), run: ({ timeline }) => timeline?.toggleDetails() },
      { keys: ['K'], title: 'Which task of the guest runs when', matches: letter('K'), run: ({ model }) => model.findTasks() },
    ],
  },
  {
    title: 'Panels',
    commands: [
      { keys: ['1'], title: 'Registers', matches: typed('1'), run: ({ showPanel }) => showPanel('registers') },
      { keys: ['2'], title: 'Call stack', matches: typed('2'), run: ({ showPanel }) => showPanel('stack') },
      { keys: ['3'], title: 'Memory', matches: typed('3'), run: ({ showPanel }) => showPanel('memory') },
      { keys: ['4'], title: 'Page walk', matches: typed('4'), run: ({ showPanel }) => showPanel('paging') },
      { keys: ['5'], title: 'Devices', matches: typed('5'), run: ({ showPanel }) => showPanel('devices') },
      { keys: ['6'], title: 'Breakpoints and watchpoints', matches: typed('6'), run: ({ showPanel }) => showPanel('points') },
      { keys: ['7'], title: 'Origin of a value', matches: typed('7'), run: ({ showPanel }) => showPanel('origin') },
      { keys: ['8'], title: 'Notes', matches: typed('8'), run: ({ showPanel }) => showPanel('notes') },
      { keys: ['9'], title: 'About the recording', matches: typed('9'), run: ({ showPanel }) => showPanel('recording') },
    ],
  },
  {
    title: 'The lab',
    commands: [
      { keys: ['B'], title: 'Bookmark at the cursor', matches: letter('B'), run: ({ model, showPanel }) => (model.addNote('bookmark'), showPanel('notes')) },
      { keys: ['V'], title: 'Replay and verify', matches: letter('V'), run: ({ model }) => model.verify() },
      { keys: ['Shift', 'T'], title: 'Theme: light, dark, as the system', matches: letter('T', true), run: (targets) => targets.nextTheme() },
      { keys: ['Ctrl', 'K'], title: 'All commands, and places to go to', matches: control('K'), run: (targets) => targets.openPalette() },
      { keys: ['?'], title: 'These keys', matches: typed('?'), run: (targets) => targets.toggleHelp() },
    ],
  },
];

export const COMMANDS: readonly Command[] = COMMAND_GROUPS.flatMap(({ commands }) => commands);

/** True if the key belongs to the control that has the focus. */
export function belongsToControl(event: KeyboardEvent): boolean {
  if (event.altKey || ((event.ctrlKey || event.metaKey) && event.code !== 'KeyK')) return true;
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  if (target.matches('input, textarea, select')) return true;
  return target.matches('button, a, summary') && (event.key === ' ' || event.key === 'Enter');
}
