/** The form of a platform, and the check of one that a user wrote. */
import { parseCostTable, type CostTable } from '../costs/cost-table.ts';
import { RegimeError, type OptionValue } from '../regime.ts';

export interface Platform {
  /** Lower-case letters, digits, dashes. */
  readonly id: string;
  readonly title: string;
  /** Id of the regime below. */
  readonly regime: string;
  /** Only those that differ from the regime's defaults. */
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly notes: readonly string[];
  /** Its own CPU, unless another is asked for. */
  readonly cpu?: string;
  /** Its own costs, before the built-in ones. */
  readonly costs?: CostTable;
}

const FIELDS = ['id', 'title', 'regime', 'options', 'notes', 'cpu', 'costs'];

/** value: the parsed JSON; where: for messages. Options are checked later, against the regime. Throws RegimeError. */
export function parsePlatform(value: unknown, where: string): Platform {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RegimeError(`${where}: expected an object with ${FIELDS.join(', ')}`);
  const fields = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(fields)) {
    if (!FIELDS.includes(name)) throw new RegimeError(`${where}: unknown field "${name}"; there are ${FIELDS.join(', ')}`);
  }
  const text = (name: string): string => {
    const found = fields[name];
    if (typeof found !== 'string' || found === '') throw new RegimeError(`${where}: "${name}" must be a text${found === undefined ? '; it is missing' : `; it is ${JSON.stringify(found)}`}`);
    return found;
  };
  const id = text('id');
  if (!/^[a-z0-9][a-z0-9-]*$/.test(id)) throw new RegimeError(`${where}: "id" must be of lower-case letters, digits and dashes; it is "${id}"`);
  const options = fields['options'] ?? {};
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw new RegimeError(`${where}: "options" must be an object of option names and values`);
  for (const [name, option] of Object.entries(options)) {
    if (typeof option !== 'boolean' && typeof option !== 'number' && typeof option !== 'string') throw new RegimeError(`${where}: option "${name}" must be true, false, a number or a text`);
  }
  const notes = fields['notes'] ?? [];
  if (!Array.isArray(notes) || notes.some((note) => typeof note !== 'string')) throw new RegimeError(`${where}: "notes" must be a list of texts`);
  return {
    id, title: text('title'), regime: text('regime'), options: options as Platform['options'], notes: notes as string[],
    ...(fields['cpu'] !== undefined && { cpu: text('cpu') }),
    ...(fields['costs'] !== undefined && { costs: parseCostTable(fields['costs'], `${where}, costs`) }),
  };
}
