/** What the run page does not show at first, and what has nothing to show before the machine's worker answers: loaded when rows and console are drawn. */
import './command-palette.ts';
import './debug/code-panel.ts';
import './debug/devices-panel.ts';
import './debug/memory-panel.ts';
import './debug/notes-panel.ts';
import './debug/origin-panel.ts';
import './debug/paging-panel.ts';
import './debug/points-panel.ts';
import './debug/stack-panel.ts';
import './info-panel.ts';
import './register-panel.ts';
