/** Takes events as rows, of which it tells what a witness of a replay asks for (ReplayerOptions.witness). */
import { EventRows } from './event-rows.ts';

export type TakeRow = (shape: number, f0: number, f1: number, ripLo: number, ripHi: number) => void;

export class RowWitness extends EventRows {
  private readonly take: TakeRow;

  constructor(blockBytes: number, take: TakeRow) {
    super(blockBytes, 0, 0);
    this.take = take;
  }

  override flush(): void {}
  protected override makeRoom(): void {}
  protected override intern(): number {
    return 0;
  }
  protected override row(_position: number, shape: number, f0: number, f1: number, _f2: number, _f3: number, ripLo: number, ripHi: number): void {
    this.take(shape, f0, f1, ripLo, ripHi);
  }
}
