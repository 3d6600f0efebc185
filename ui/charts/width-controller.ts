/** How wide an element is, in units of a chart: a fourteenth of the root's font size, so that text of 12 units reads as text of the page does, at any width of the window. */
import type { ReactiveController, ReactiveControllerHost } from 'lit';

/** Units of a rem. */
export const REM_UNITS = 14;
const WIDTH_BEFORE = 1000;
const WIDTH_MIN = 480;

export class WidthController implements ReactiveController {
  /** Units. */
  width = WIDTH_BEFORE;
  private readonly host: ReactiveControllerHost & HTMLElement;
  private readonly observer = new ResizeObserver(() => this.measure());

  constructor(host: ReactiveControllerHost & HTMLElement) {
    this.host = host;
    host.addController(this);
  }

  hostConnected(): void {
    this.observer.observe(this.host);
  }
  hostDisconnected(): void {
    this.observer.disconnect();
  }

  private measure(): void {
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || REM_UNITS;
    const width = Math.max(WIDTH_MIN, Math.round((this.host.clientWidth * REM_UNITS) / rem));
    if (width === this.width || this.host.clientWidth === 0) return;
    this.width = width;
    this.host.requestUpdate();
  }
}
