/**
 * Costs: rows of cycles with CPU, year, range, source and trust, and the rule that picks one for a CPU that has no row of its own.
 *
 * The rule: a row of the CPU itself; else the row of the CPU nearest in year (the newer of two). Cycles are taken as they are, and the answer says
 * so: such a row is marked *assumed*, with a note that names the machine on which it was measured. User tables come before these.
 *
 * The rows are the JSON files beside this one, in the form of a user's own (`costs` of a platform file).
 */
import { RegimeError, type CostBook, type Cycles } from '../regime.ts';
import { CPUS } from './cpus.ts';
import binaryTranslation from './binary-translation.json' with { type: 'json' };
import hardware from './hardware.json' with { type: 'json' };
import native from './native.json' with { type: 'json' };
import paravirtual from './paravirtual.json' with { type: 'json' };
import shadow from './shadow.json' with { type: 'json' };

/** primary: read in the source. secondary: quoted by another. derived: arithmetic on such figures (the note says which). assumed: nobody measured it. */
export const TRUSTS = ['primary', 'secondary', 'derived', 'assumed'] as const;
export type Trust = (typeof TRUSTS)[number];

/**
 * "Cost of an exit" means four things; which of them a figure is. hardware: the two transitions alone. guest: exit, handler and entry as software in the guest sees
 * them. host: exit to entry as the host sees it, without the transitions. event: not an exit.
 */
export const DEFINITIONS = ['hardware', 'guest', 'host', 'event'] as const;
export type CostDefinition = (typeof DEFINITIONS)[number];

export interface CostRow extends Cycles {
  readonly parameter: string;
  /** Id of a CPU (cpus.ts), or `any`. */
  readonly cpu: string;
  readonly year: number;
  readonly definition: CostDefinition;
  /** For people: paper, commit, mail. */
  readonly source: string;
  readonly trust: Trust;
  readonly note?: string;
}
export type CostTable = readonly CostRow[];

export interface CpuRow {
  readonly id: string;
  readonly title: string;
  readonly year: number;
  /** Nominal; to turn cycles into time. Undefined where the source does not name the machine. */
  readonly gigahertz?: number;
}

const FIELDS: readonly string[] = ['parameter', 'cpu', 'year', 'low', 'typical', 'high', 'definition', 'source', 'trust', 'note'] satisfies (keyof CostRow)[];
/** The files of this folder, through the same check as a user's. */
export const COST_TABLE: CostTable = Object.entries({ native, hardware, shadow, 'binary-translation': binaryTranslation, paravirtual }).flatMap(([name, rows]) => parseRows(rows, `costs/${name}.json`));
/** The machine of the best single data set: SOSP 2023. */
export const DEFAULT_CPU = 'cascade-lake';

/** The row that a CPU gets for a parameter. */
export interface ChosenCost extends CostRow {
  /** Set if the row was measured on another CPU. */
  readonly borrowedFrom?: string;
}

export class Costs implements CostBook {
  readonly cpu: string;
  readonly gigahertz: number | undefined;
  private readonly year: number;
  private readonly rows: CostTable;
  private readonly chosen = new Map<string, ChosenCost>();
  private readonly changes: ReadonlyMap<string, Cycles>;

  /** rows: those of the user before the built-in ones. changes: parameters with other cycles, for sensitivity. Throws RegimeError for an unknown CPU. */
  constructor(cpu = DEFAULT_CPU, rows: CostTable = [], changes: ReadonlyMap<string, Cycles> = new Map()) {
    const found = CPUS.find(({ id }) => id === cpu);
    const own = rows.find((row) => row.cpu === cpu);
    if (found === undefined && own === undefined) throw new RegimeError(`there is no CPU "${cpu}" in the cost tables; there are ${CPUS.map(({ id }) => id).join(', ')}`);
    this.cpu = cpu;
    this.year = found?.year ?? own?.year ?? 0;
    this.gigahertz = found?.gigahertz;
    this.rows = [...rows, ...COST_TABLE];
    this.changes = changes;
  }

  cost(parameter: string): Cycles {
    return this.changes.get(parameter) ?? this.row(parameter);
  }

  /** With its source. Throws RegimeError for a parameter that no table has. */
  row(parameter: string): ChosenCost {
    let row = this.chosen.get(parameter);
    if (row === undefined) {
      row = this.choose(parameter);
      this.chosen.set(parameter, row);
    }
    return row;
  }

  private choose(parameter: string): ChosenCost {
    const rows = this.rows.filter((row) => row.parameter === parameter);
    const own = rows.find((row) => row.cpu === this.cpu);
    if (own !== undefined) return own;
    const measured = rows.filter((row) => row.cpu !== 'any').sort((a, b) => Math.abs(a.year - this.year) - Math.abs(b.year - this.year) || b.year - a.year);
    const nearest = measured.at(0);
    if (nearest !== undefined) {
      const { cpu, year, trust, note } = nearest;
      return { ...nearest, trust: 'assumed', borrowedFrom: cpu, note: `of ${cpu} (${year}, ${trust}), taken for ${this.cpu} in cycles${note === undefined ? '' : `; ${note}`}` };
    }
    const general = rows.at(0);
    if (general === undefined) throw new RegimeError(`no cost table has the parameter "${parameter}"`);
    return general;
  }
}

/** All parameters that the tables know. */
export function parameterNames(rows: CostTable = COST_TABLE): string[] {
  return [...new Set(rows.map(({ parameter }) => parameter))];
}

/** A user's cost table, checked. Throws RegimeError with the row and the field. */
export function parseCostTable(value: unknown, where: string): CostTable {
  const known = new Set(parameterNames());
  return parseRows(value, where).map((row, i) => {
    if (!known.has(row.parameter)) throw new RegimeError(`${where}: row ${i + 1}: no regime has the parameter "${row.parameter}"; \`chronovisor regimes show ID\` lists those of a regime`);
    return row;
  });
}

/** Rows of any parameters, checked. Throws RegimeError. */
function parseRows(value: unknown, where: string): CostTable {
  if (!Array.isArray(value)) throw new RegimeError(`${where}: expected a list of cost rows`);
  return value.map((row: unknown, i): CostRow => {
    const at = `${where}: row ${i + 1}`;
    if (typeof row !== 'object' || row === null) throw new RegimeError(`${at}: expected an object`);
    for (const name of Object.keys(row)) if (!FIELDS.includes(name)) throw new RegimeError(`${at}: unknown field "${name}"; there are ${FIELDS.join(', ')}`);
    const field = (name: string): unknown => (row as Readonly<Record<string, unknown>>)[name];
    const text = (name: string): string => {
      const found = field(name);
      if (typeof found !== 'string' || found === '') throw new RegimeError(`${at}: "${name}" must be a text; it is ${JSON.stringify(found)}`);
      return found;
    };
    const number = (name: string): number => {
      const found = field(name);
      if (typeof found !== 'number' || !Number.isFinite(found) || found < 0) throw new RegimeError(`${at}: "${name}" must be a number of at least 0; it is ${JSON.stringify(found)}`);
      return found;
    };
    const oneOf = <T extends string>(name: string, words: readonly T[]): T => {
      const found = words.find((word) => word === field(name));
      if (found === undefined) throw new RegimeError(`${at}: "${name}" must be one of ${words.join(', ')}; it is ${JSON.stringify(field(name))}`);
      return found;
    };
    const [low, typical, high] = [number('low'), number('typical'), number('high')];
    if (low > typical || typical > high) throw new RegimeError(`${at}: low, typical and high must ascend; they are ${low}, ${typical}, ${high}`);
    return {
      parameter: text('parameter'), low, typical, high, cpu: text('cpu'), year: number('year'), definition: oneOf('definition', DEFINITIONS), source: text('source'), trust: oneOf('trust', TRUSTS),
      ...(field('note') !== undefined && { note: text('note') }),
    };
  });
}
