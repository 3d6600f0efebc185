/**
 * Questions about one moment as text: `u32(jobs_done) > 5 && cpl == 3`. Parsed once, evaluated often, and looking changes nothing.
 *
 *     or      = and { "||" and }                              what is not 0 is true
 *     and     = compare { "&&" compare }
 *     compare = bits [ ("==" | "!=" | "<" | "<=" | ">" | ">=") bits ]
 *     bits    = sum { ("&" | "|" | "^" | "<<" | ">>") sum }    binds tighter than a comparison, unlike in C
 *     sum     = product { ("+" | "-") product }
 *     product = unary { "*" unary }
 *     unary   = [ "!" | "-" ] primary
 *     primary = number | register | "position" | symbol | FILE:symbol | "(" or ")"
 *             | "[" or "]" [ ":" 1|2|4|8 ]                     linear memory, 8 bytes unless told
 *             | u8|u16|u32|u64|s8|s16|s32|s64 "(" or ")"       the same, unsigned or signed
 *             | p8|p16|p32|p64 "(" or ")"                      guest-physical memory
 *             | "length" "(" or [ "," or ] ")"                 nodes of a linked list: pointer to the first, offset of the link
 *             | "events" "(" text ")"                          events of the log that came before: "exit cpuid", "interrupt 0x20", "console PANIC"; event-words.ts
 *
 * Numbers are whole and of any size, so nothing wraps around: registers and u64() are 0 to 2^64-1, a difference may be negative. A symbol is its
 * address. What reads memory that is not mapped has no value; it decides nothing (`0 && ?` is 0, `1 || ?` is 1), and without a value nothing is true.
 */
import type { LogReader } from '../log/reader.ts';
import { EVENT_FORMS, EventWordsError, type LogStop, eventsOfWords } from './event-words.ts';
import { countBelow } from './expression-events.ts';
import type { ExpressionView } from './expression-view.ts';
import { REGISTER_NAMES } from './inspect.ts';
import { positionsOf } from './log-stops.ts';
import { SymbolError, type SymbolTable } from './symbols.ts';

export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
  /** From 1. */
  readonly column: number;

  constructor(text: string, column: number, what: string) {
    super(`${what} (column ${column})\n  ${text}\n  ${' '.repeat(column - 1)}^`);
    this.column = column;
  }
}

type Node =
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'register'; readonly name: string }
  | { readonly kind: 'memory'; readonly address: Node; readonly bytes: 1 | 2 | 4 | 8; readonly isSigned: boolean; readonly isPhysical: boolean }
  | { readonly kind: 'length'; readonly pointer: Node; readonly offset: Node }
  /** Ascending. */
  | { readonly kind: 'events'; readonly positions: () => readonly number[] }
  | { readonly kind: 'unary'; readonly operator: '!' | '-'; readonly operand: Node }
  | { readonly kind: 'binary'; readonly operator: Operator; readonly left: Node; readonly right: Node };

const OPERATORS = ['||', '&&', '==', '!=', '<=', '>=', '<<', '>>', '<', '>', '&', '|', '^', '+', '-', '*'] as const;
type Operator = (typeof OPERATORS)[number];
const LEVELS: readonly (readonly Operator[])[] = [['||'], ['&&'], ['==', '!=', '<', '<=', '>', '>='], ['&', '|', '^', '<<', '>>'], ['+', '-'], ['*']];
const COMPARE_LEVEL = 2;

const TEXT_MAX = 4096;
const DEPTH_MAX = 100;
/** Bits of a shift at most; the widest value there is has 128. */
const SHIFT_MAX = 128n;

const REGISTERS = new Set(REGISTER_NAMES);

/** As data: its text, and what the names in it stand for. */
export interface PlainExpression {
  readonly text: string;
  readonly names: readonly (readonly [name: string, address: bigint])[];
}

export class Expression {
  readonly text: string;
  readonly plain: PlainExpression;
  /** Registers and `position` that it looks at. */
  readonly registers: ReadonlySet<string>;
  readonly readsMemory: boolean;
  /** Positions of the events that it counts, ascending, for each of its counts. They count from the next position on. */
  readonly events: readonly (() => readonly number[])[];
  /** If it can be true only where rip has this value: that. */
  readonly rip: bigint | undefined;
  private readonly root: Node;

  /** Use parseExpression(). */
  constructor(plain: PlainExpression, root: Node) {
    this.text = plain.text;
    this.plain = plain;
    this.root = root;
    const registers = new Set<string>();
    const events: (() => readonly number[])[] = [];
    this.readsMemory = survey(root, registers, events);
    this.registers = registers;
    this.events = events;
    this.rip = ripOf(root);
  }

  /** Undefined: it depends on memory that is not mapped. */
  value(view: ExpressionView): bigint | undefined {
    return evaluate(this.root, view);
  }

  isTrue(view: ExpressionView): boolean {
    const value = evaluate(this.root, view);
    return value !== undefined && value !== 0n;
  }
}

/** `log`: whose events it may count. Throws ExpressionError. */
export function parseExpression(text: string, symbols: SymbolTable, log?: LogReader): Expression {
  if (text.length > TEXT_MAX) throw new ExpressionError(`${text.slice(0, 60)}...`, 1, `the expression has ${text.length} characters; ${TEXT_MAX} are allowed`);
  const parser = new Parser(text, (name) => symbols.find(name).address, log);
  const root = parser.parse();
  return new Expression({ text, names: [...parser.names] }, root);
}

/** The same expression again, such as in another thread. */
export function expressionOf(plain: PlainExpression, log?: LogReader): Expression {
  const names = new Map(plain.names);
  return new Expression(plain, new Parser(plain.text, (name) => names.get(name)!, log).parse());
}

const counted = new WeakMap<LogReader, Map<string, readonly number[]>>();

/** positionsOf() of events that words ask for; once for all expressions. */
function countedPositions(log: LogReader, words: string, asked: LogStop): readonly number[] {
  const known = counted.get(log) ?? new Map<string, readonly number[]>();
  counted.set(log, known);
  const positions = known.get(words) ?? positionsOf(log, asked);
  known.set(words, positions);
  return positions;
}

interface Token {
  readonly kind: 'number' | 'name' | 'sign' | 'text' | 'end';
  readonly text: string;
  /** From 1. */
  readonly column: number;
}

const TOKEN = /\s*(?:(0[xX][0-9a-fA-F_]+|\d[\w]*)|([A-Za-z_.$][\w.$]*(?::[A-Za-z_.$][\w.$]*)?)|(\|\||&&|==|!=|<=|>=|<<|>>|[-+*<>&|^!()[\]:,])|"([^"]*)"|'([^']*)')/y;

class Parser {
  /** Those of symbols, as they were asked for. */
  readonly names = new Map<string, bigint>();
  private readonly text: string;
  private readonly addressOf: (name: string) => bigint;
  private readonly log: LogReader | undefined;
  private readonly tokens: readonly Token[];
  private next = 0;
  private depth = 0;

  /** `addressOf` throws SymbolError. */
  constructor(text: string, addressOf: (name: string) => bigint, log: LogReader | undefined) {
    this.text = text;
    this.addressOf = addressOf;
    this.log = log;
    const tokens: Token[] = [];
    TOKEN.lastIndex = 0;
    for (;;) {
      const at = TOKEN.lastIndex;
      const match = TOKEN.exec(text);
      if (match === null) {
        const rest = text.slice(at);
        const column = at + rest.length - rest.trimStart().length + 1;
        if (rest.trim() !== '') throw new ExpressionError(text, column, rest.trimStart().startsWith('=') ? 'a comparison is written ==' : `"${rest.trimStart()[0]}" means nothing here`);
        tokens.push({ kind: 'end', text: '', column: text.length + 1 });
        break;
      }
      const [all, number, name, sign, double, single] = match;
      const word = number ?? name ?? sign ?? double ?? single;
      const kind = number !== undefined ? 'number' : name !== undefined ? 'name' : sign !== undefined ? 'sign' : 'text';
      tokens.push({ kind, text: word, column: at + all.length - word.length + (kind === 'text' ? -1 : 1) });
    }
    this.tokens = tokens;
  }

  parse(): Node {
    const node = this.level(0);
    const token = this.tokens[this.next];
    if (token.kind !== 'end') throw this.wrong(token, `"${token.text}" where an operator or the end should be`);
    return node;
  }

  private wrong(token: Token, what: string): ExpressionError {
    return new ExpressionError(this.text, token.column, what);
  }

  private level(n: number): Node {
    if (n === LEVELS.length) return this.unary();
    let left = this.level(n + 1);
    for (let many = 0; ; many++) {
      const token = this.tokens[this.next];
      const operator = token.kind === 'sign' ? LEVELS[n].find((each) => each === token.text) : undefined;
      if (operator === undefined) return left;
      if (n === COMPARE_LEVEL && many > 0) throw this.wrong(token, 'comparisons cannot be chained: write a < b && b < c');
      this.next++;
      left = { kind: 'binary', operator, left, right: this.level(n + 1) };
    }
  }

  private unary(): Node {
    const token = this.tokens[this.next];
    if (++this.depth > DEPTH_MAX) throw this.wrong(token, `more than ${DEPTH_MAX} parts lie in one another`);
    try {
      if (token.kind === 'sign' && (token.text === '!' || token.text === '-')) {
        this.next++;
        return { kind: 'unary', operator: token.text, operand: this.unary() };
      }
      return this.primary();
    } finally {
      this.depth--;
    }
  }

  private primary(): Node {
    const token = this.tokens[this.next++];
    if (token.kind === 'number') {
      const digits = token.text.replaceAll('_', '');
      if (!/^(0[xX][0-9a-fA-F]{1,32}|\d{1,39})$/.test(digits)) throw this.wrong(token, `"${token.text}" is no number: write 123 or 0x7b`);
      return { kind: 'number', value: BigInt(digits) };
    }
    if (token.kind === 'sign' && token.text === '(') {
      const node = this.level(0);
      this.expect(')', token);
      return node;
    }
    if (token.kind === 'sign' && token.text === '[') {
      const address = this.level(0);
      this.expect(']', token);
      return { kind: 'memory', address, bytes: this.width(), isSigned: false, isPhysical: false };
    }
    if (token.kind === 'name') return this.named(token);
    throw this.wrong(token, token.kind === 'end' ? 'a value is missing at the end' : `"${token.text}" where a value should be`);
  }

  private width(): 1 | 2 | 4 | 8 {
    if (!this.isSign(':')) return 8;
    this.next++;
    const token = this.tokens[this.next++];
    const bytes = ([1, 2, 4, 8] as const).find((n) => String(n) === token.text);
    if (bytes === undefined) throw this.wrong(token, 'after [address]: comes a number of bytes, 1, 2, 4 or 8');
    return bytes;
  }

  private named(token: Token): Node {
    const memory = /^([usp])(8|16|32|64)$/.exec(token.text);
    const isCall = this.isSign('(');
    if (isCall && token.text === 'events') return this.events(token, this.tokens[this.next++]);
    if (isCall && (memory !== null || token.text === 'length')) {
      const open = this.tokens[this.next++];
      const address = this.level(0);
      if (memory !== null) {
        this.expect(')', open);
        return { kind: 'memory', address, bytes: (Number(memory[2]) / 8) as 1 | 2 | 4 | 8, isSigned: memory[1] === 's', isPhysical: memory[1] === 'p' };
      }
      let offset: Node = { kind: 'number', value: 0n };
      if (this.isSign(',')) {
        this.next++;
        offset = this.level(0);
      }
      this.expect(')', open);
      return { kind: 'length', pointer: address, offset };
    }
    if (isCall) throw this.wrong(token, `there is no function "${token.text}": u8 to u64, s8 to s64, p8 to p64 read memory, length counts a list, events those of the log`);
    const lower = token.text.toLowerCase();
    if (token.text === 'position' || REGISTERS.has(lower)) return { kind: 'register', name: lower };
    try {
      const value = this.addressOf(token.text);
      this.names.set(token.text, value);
      return { kind: 'number', value };
    } catch (error) {
      if (error instanceof SymbolError) throw this.wrong(token, error.message);
      throw error;
    }
  }

  private isSign(sign: string): boolean {
    const { kind, text } = this.tokens[this.next];
    return kind === 'sign' && text === sign;
  }

  private events(token: Token, open: Token): Node {
    const { log } = this;
    const words = this.tokens[this.next++];
    if (words.kind !== 'text') throw this.wrong(words.kind === 'end' ? open : words, `events("...") has a text: ${EVENT_FORMS}`);
    if (log === undefined) throw this.wrong(token, 'events() counts those of a recording, and here is none');
    this.expect(')', open);
    try {
      const asked = eventsOfWords(words.text);
      if (asked === undefined) throw this.wrong(words, `there are no events "${words.text}": ${EVENT_FORMS}`);
      let positions: readonly number[] | undefined;
      return { kind: 'events', positions: () => (positions ??= countedPositions(log, words.text, asked)) };
    } catch (error) {
      if (error instanceof EventWordsError) throw this.wrong(words, error.message);
      throw error;
    }
  }

  private expect(sign: string, open: Token): void {
    const token = this.tokens[this.next++];
    if (token.kind !== 'sign' || token.text !== sign) throw this.wrong(token.kind === 'end' ? open : token, token.kind === 'end' ? `"${open.text}" is not closed` : `"${token.text}" where "${sign}" should be`);
  }
}

/** Collects registers and counts of events; true if memory is read. */
function survey(node: Node, registers: Set<string>, events: (() => readonly number[])[]): boolean {
  switch (node.kind) {
    case 'number':
      return false;
    case 'register':
      registers.add(node.name);
      return false;
    case 'events':
      events.push(node.positions);
      return false;
    case 'memory':
      survey(node.address, registers, events);
      return true;
    case 'length':
      survey(node.pointer, registers, events);
      survey(node.offset, registers, events);
      return true;
    case 'unary':
      return survey(node.operand, registers, events);
    case 'binary': {
      const left = survey(node.left, registers, events);
      return survey(node.right, registers, events) || left;
    }
  }
}

function ripOf(node: Node): bigint | undefined {
  if (node.kind !== 'binary') return undefined;
  if (node.operator === '&&') return ripOf(node.left) ?? ripOf(node.right);
  if (node.operator !== '==') return undefined;
  for (const [a, b] of [[node.left, node.right], [node.right, node.left]]) if (a.kind === 'register' && a.name === 'rip' && b.kind === 'number') return b.value;
  return undefined;
}

function evaluate(node: Node, view: ExpressionView): bigint | undefined {
  switch (node.kind) {
    case 'number':
      return node.value;
    case 'register':
      return view.register(node.name);
    case 'events':
      return BigInt(countBelow(node.positions(), view.position));
    case 'memory': {
      const address = evaluate(node.address, view);
      const value = address === undefined ? undefined : view.read(address, node.bytes, node.isPhysical);
      return value !== undefined && node.isSigned ? BigInt.asIntN(node.bytes * 8, value) : value;
    }
    case 'length': {
      const pointer = evaluate(node.pointer, view);
      const offset = evaluate(node.offset, view);
      const nodes = pointer === undefined || offset === undefined ? undefined : view.list(pointer, offset);
      return nodes === undefined ? undefined : BigInt(nodes);
    }
    case 'unary': {
      const value = evaluate(node.operand, view);
      if (value === undefined) return undefined;
      return node.operator === '-' ? -value : truth(value === 0n);
    }
    case 'binary':
      return binary(node.operator, node.left, node.right, view);
  }
}

function binary(operator: Operator, leftNode: Node, rightNode: Node, view: ExpressionView): bigint | undefined {
  const left = evaluate(leftNode, view);
  if (operator === '&&' || operator === '||') {
    const decides = operator === '||';
    if (left !== undefined && (left !== 0n) === decides) return truth(decides);
    const right = evaluate(rightNode, view);
    if (right !== undefined && (right !== 0n) === decides) return truth(decides);
    return left === undefined || right === undefined ? undefined : truth(!decides);
  }
  const right = evaluate(rightNode, view);
  if (left === undefined || right === undefined) return undefined;
  switch (operator) {
    case '==':
      return truth(left === right);
    case '!=':
      return truth(left !== right);
    case '<':
      return truth(left < right);
    case '<=':
      return truth(left <= right);
    case '>':
      return truth(left > right);
    case '>=':
      return truth(left >= right);
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '&':
      return left & right;
    case '|':
      return left | right;
    case '^':
      return left ^ right;
    case '<<':
      return right < 0n || right > SHIFT_MAX ? undefined : left << right;
    case '>>':
      return right < 0n || right > SHIFT_MAX ? undefined : left >> right;
  }
}

function truth(is: boolean): bigint {
  return is ? 1n : 0n;
}
