/**
 * A profile with what a log does not hold: call stacks and tasks, from a replay of the recording.
 *
 *     machine ─┬─ VerifyingSink: the same row as the log's? ─► VerifiedRows ──────────────┐
 *              └─ ExitContexts: the stack and the task at each row ─► columns ────────────┴─► ExitProfileFold
 */
import type { ExitProfileFold, ExitProfileOptions } from '../analysis/exit-profile/fold.ts';
import type { Divergence } from '../log/verify.ts';
import type { Replayer, ReplayerOptions } from '../recording/replayer.ts';
import { VerifiedRows } from '../recording/verified-rows.ts';
import { ExitContexts } from './exit-contexts.ts';
import type { GuestSymbols } from './guest-symbols.ts';

/** Instructions between two looks at who asked; the columns hold the records of so many. */
const SLICE_INSTRUCTIONS = 2_000_000;

export class ProfilingReplay {
  /** For the fold that is given to `folding`. */
  readonly options: Pick<ExitProfileOptions, 'contexts' | 'functionAt'>;
  private readonly contexts: ExitContexts;
  private readonly reader: ReplayerOptions['reader'];

  /** Throws RecipeError for a log that this version cannot replay. */
  constructor(options: Pick<ReplayerOptions, 'reader' | 'images' | 'module'>, symbols: GuestSymbols) {
    const { table } = symbols;
    this.reader = options.reader;
    this.contexts = new ExitContexts(options, symbols);
    const names = new Map<number, string | undefined>();
    const functionAt = (ripLo: number, ripHi: number): string | undefined => {
      const address = (ripHi | 0) * 4294967296 + ripLo;
      if (!names.has(address)) names.set(address, table.at((BigInt(ripHi) << 32n) | BigInt(ripLo))?.name);
      return names.get(address);
    };
    this.options = { contexts: this.contexts.names, ...(table.symbols.length > 0 && { functionAt }) };
  }

  /** Every event that the replay makes, in turns. Stops at the first that is not the recording's, and returns how it differs. */
  *folding(fold: ExitProfileFold): Generator<Replayer, Divergence | undefined, void> {
    const { replayer, columns } = this.contexts;
    const rows = new VerifiedRows(this.reader, (batch, from, to) => fold.fold(batch, from, to, columns));
    for (;;) {
      const status = replayer.step(SLICE_INSTRUCTIONS);
      if (status.kind === 'diverged') return status.divergence;
      rows.takeTo(replayer.records);
      columns.startAt(rows.taken);
      if (status.kind === 'identical') return undefined;
      yield replayer;
    }
  }
}
