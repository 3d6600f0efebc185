/** What the run page does not show at first: loaded when it has shown its rows. */
import './command-palette.ts';
import './debug/devices-panel.ts';
import './debug/memory-panel.ts';
import './debug/notes-panel.ts';
import './debug/origin-panel.ts';
import './debug/paging-panel.ts';
import './debug/points-panel.ts';
import './debug/stack-panel.ts';
import './info-panel.ts';
