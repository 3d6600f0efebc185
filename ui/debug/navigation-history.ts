/** Where the cursor was before it jumped. Moves that follow one another at once, as a drag or a key that is held, are one. */
const TOGETHER_MS = 800;
const PLACES_MAX = 200;

export class NavigationHistory {
  private readonly past: number[] = [];
  private future: number[] = [];
  private movedMs = -Infinity;
  private readonly now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  /** The cursor leaves `from`. */
  move(from: number): void {
    const now = this.now();
    const isTogether = now - this.movedMs < TOGETHER_MS;
    this.movedMs = now;
    if (!isTogether) this.push(from);
  }
  /** The same, never together with others. */
  jump(from: number): void {
    this.movedMs = -Infinity;
    this.push(from);
  }

  get canGoBack(): boolean {
    return this.past.length > 0;
  }
  get canGoForth(): boolean {
    return this.future.length > 0;
  }

  back(from: number): number | undefined {
    const position = this.past.pop();
    if (position !== undefined) this.future.push(from);
    this.movedMs = -Infinity;
    return position;
  }
  forth(from: number): number | undefined {
    const position = this.future.pop();
    if (position !== undefined) this.past.push(from);
    this.movedMs = -Infinity;
    return position;
  }

  private push(from: number): void {
    this.future = [];
    if (this.past.at(-1) === from) return;
    this.past.push(from);
    if (this.past.length > PLACES_MAX) this.past.shift();
  }
}
