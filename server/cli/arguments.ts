/** Options of a verb as data: parsed, checked and described from one table. */
import { parseArgs } from 'node:util';
import { type Position, parsePosition } from '../../engine/log/position.ts';
import { nearest } from '../store/suggest.ts';
import { UsageError } from './usage-error.ts';

export interface OptionSpec {
  readonly name: string;
  readonly short?: string;
  /** What its value is called in the help; undefined for a switch. */
  readonly value?: string;
  readonly help: string;
  /** May be given more than once. */
  readonly multiple?: boolean;
}

export interface VerbSpec {
  readonly name: string;
  /** After the name: `FILE [options]`. */
  readonly synopsis: string;
  readonly summary: string;
  /** Sentences below the options. */
  readonly notes?: readonly string[];
  readonly operands: { readonly min: number; readonly max: number };
  readonly options: readonly OptionSpec[];
}

export class Arguments {
  readonly verb: string;
  readonly operands: readonly string[];
  private readonly values: ReadonlyMap<string, readonly string[]>;

  constructor(verb: string, operands: readonly string[], values: ReadonlyMap<string, readonly string[]>) {
    this.verb = verb;
    this.operands = operands;
    this.values = values;
  }

  has(name: string): boolean {
    return this.values.has(name);
  }

  /** The last value of an option. */
  text(name: string): string | undefined {
    return this.values.get(name)?.at(-1);
  }

  all(name: string): readonly string[] {
    return this.values.get(name) ?? [];
  }

  /** A number of instructions, events or the like: `5000000`, `5_000_000`, `5M`. */
  count(name: string, min = 0): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const match = /^(\d+(?:_\d+)*)([kMG]?)$/.exec(text);
    const value = match === null ? NaN : Number(match[1].replaceAll('_', '')) * DECIMAL_UNITS[match[2]];
    if (!Number.isSafeInteger(value) || value < min) throw this.wrong(name, text, `a whole number of at least ${min}, such as 1000, 1_000 or 5M`);
    return value;
  }

  /** Seconds, with a fraction if wanted. */
  seconds(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (!/^\d+(\.\d+)?$/.test(text)) throw this.wrong(name, text, 'a number of seconds, such as 2 or 0.5');
    return Number(text);
  }

  /** A size of memory in bytes: `128M`, `1G`. */
  bytes(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const match = /^(\d+)([kKMG]?)(i?B)?$/.exec(text);
    const value = match === null ? NaN : Number(match[1]) * BINARY_UNITS[match[2]];
    if (!Number.isSafeInteger(value)) throw this.wrong(name, text, 'a size such as 128M or 1G');
    return value;
  }

  position(name: string): Position | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const at = parsePosition(text.startsWith('@') ? text : `@${text}`);
    if (at === undefined) throw this.wrong(name, text, 'a position such as @1234567');
    return at;
  }

  /** Words separated by commas, each one of `allowed`. */
  words<T extends string>(name: string, allowed: readonly T[]): readonly T[] | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    return text.split(',').filter((word) => word !== '').map((word) => {
      const known = allowed.find((each) => each === word);
      if (known === undefined) {
        const near = nearest(word, allowed);
        throw this.wrong(name, word, `one or more of ${allowed.join(', ')}${near === undefined ? '' : `; did you mean ${near}?`}`);
      }
      return known;
    });
  }

  wrong(name: string, value: string, expected: string): UsageError {
    return new UsageError(`--${name} "${value}": expected ${expected}`, this.verb);
  }
}

const DECIMAL_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };
const BINARY_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, K: 1024, M: 1048576, G: 1073741824 };

const HELP: OptionSpec = { name: 'help', short: 'h', help: 'this text' };

/** Throws UsageError. */
export function parseArguments(spec: VerbSpec, argv: readonly string[]): Arguments {
  const options = [...spec.options, HELP];
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(options.map(({ name, short, value }) => [name, { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short !== undefined && { short }) }])),
  });
  const values = new Map<string, string[]>();
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      operands.push(token.value);
      continue;
    }
    const option = options.find(({ name }) => name === token.name);
    if (option === undefined) {
      const near = nearest(token.name, options.map(({ name }) => name));
      throw new UsageError(`${spec.name} has no option ${token.rawName}${near === undefined ? '' : `; did you mean --${near}?`}`, spec.name);
    }
    if (option.value === undefined) {
      if (token.value !== undefined) throw new UsageError(`--${option.name} takes no value`, spec.name);
    } else {
      const isOption = token.inlineValue === false && /^--?[a-z]/.test(token.value) && options.some(({ name, short }) => token.value === `--${name}` || token.value === `-${short}`);
      if (token.value === undefined || isOption) throw new UsageError(`--${option.name} needs a value: --${option.name} ${option.value}`, spec.name);
    }
    const before = values.get(option.name);
    if (before !== undefined && option.value !== undefined && option.multiple !== true) throw new UsageError(`--${option.name} is given twice`, spec.name);
    values.set(option.name, [...(before ?? []), token.value ?? '']);
  }
  const parsed = new Arguments(spec.name, operands, values);
  if (parsed.has('help')) return parsed;
  if (operands.length < spec.operands.min) throw new UsageError(`${spec.name} needs more: chronovisor ${spec.name} ${spec.synopsis}`, spec.name);
  if (operands.length > spec.operands.max) throw new UsageError(`"${operands[spec.operands.max]}" is one argument too many: chronovisor ${spec.name} ${spec.synopsis}`, spec.name);
  return parsed;
}

/** The help of a verb. */
export function describeVerb(spec: VerbSpec): string {
  const left = ({ name, short, value }: OptionSpec): string => `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
  const options = [...spec.options, HELP];
  const width = Math.max(...options.map((option) => left(option).length));
  const lines = [`chronovisor ${spec.name} ${spec.synopsis}`, '', spec.summary, '', ...options.map((option) => `  ${left(option).padEnd(width)}  ${option.help}`)];
  if (spec.notes !== undefined) lines.push('', ...spec.notes);
  return `${lines.join('\n')}\n`;
}
