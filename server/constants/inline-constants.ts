/**
 * The last step of the build: where a module uses a constant number, the number is written.
 *
 *     import { KIND_EXIT, kindOf } from './events.js';        import { KIND_EXIT, kindOf } from './events.js';
 *     if (kind === KIND_EXIT) ...                       ─►    if (kind === 2) ...
 *
 * V8 (11 of Node 20) loads an import from its cell, and a `const` of the module from its context, at each use, and tests each time that it has a value and that this is a small integer; a number in the
 * text is part of the instruction. In loops over millions of records that is a third of the time. Bundlers do this for the pages; Node runs the modules as they are.
 *
 * Constants are `const NAME = ` of numbers, of names of such constants and of operators on both; and `const NAME = { a: 1, ... }`, of whose members the same holds. Names are in capitals, as everywhere
 * in this house. Imports and declarations stay, and so do lines, so that source maps hold. A name that a module declares again further in, or whose
 * members it changes, is left alone in it.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseAst } from 'vite';

/** A node of ESTree, with its place in the text. */
interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}
/** A number, or numbers by member. */
type Constant = number | ReadonlyMap<string, number>;
type Constants = ReadonlyMap<string, Constant>;

const NAME = /^[A-Z][A-Z0-9_]*$/;
const BINARY: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b, '-': (a, b) => a - b, '*': (a, b) => a * b, '/': (a, b) => a / b, '**': (a, b) => a ** b,
  '|': (a, b) => a | b, '&': (a, b) => a & b, '^': (a, b) => a ^ b, '<<': (a, b) => a << b, '>>': (a, b) => a >> b, '>>>': (a, b) => a >>> b,
};

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
const nodesIn = (node: Node): Node[] => Object.values(node).flatMap((value) => (Array.isArray(value) ? value : [value])).filter(isNode);
const nameOf = (node: unknown): string => ((node as Node).name ?? (node as Node).value) as string;

/** A module, and what it exports and knows by name. */
export class ConstantModule {
  private readonly source: string;
  private readonly program: Node;
  private readonly known = new Map<string, Constant>();
  private readonly exported = new Map<string, Constant>();

  /** constantsOf: what the module that a specifier names exports. */
  constructor(source: string, constantsOf: (specifier: string) => Constants) {
    this.source = source;
    this.program = parseAst(source) as unknown as Node;
    for (const statement of this.program.body as Node[]) {
      if (statement.type === 'ImportDeclaration') this.takeImport(statement, constantsOf);
      else if (statement.type === 'VariableDeclaration') this.takeDeclaration(statement, false);
      else if (statement.type === 'ExportNamedDeclaration' && isNode(statement.declaration)) this.takeDeclaration(statement.declaration, true);
    }
  }

  get constants(): Constants {
    return this.exported;
  }

  /** The text with numbers in place of names. */
  inlined(): string {
    const edits: { readonly start: number; readonly end: number; readonly text: string }[] = [];
    const shadowed = new Set<string>();
    const declared = new Map<string, number>();
    const visit = (node: Node, parent: Node | undefined): void => {
      if (node.type === 'ImportDeclaration') {
        for (const { local } of node.specifiers as unknown as { local: Node }[]) declare(nameOf(local));
        return;
      }
      if (node.type === 'ExportNamedDeclaration' && !isNode(node.declaration)) return;
      if (node.type === 'VariableDeclarator') for (const name of patternNames(node.id as Node)) declare(name);
      if (/Function/.test(node.type)) for (const parameter of node.params as Node[]) for (const name of patternNames(parameter)) declare(name);
      if (node.type === 'CatchClause' && isNode(node.param)) for (const name of patternNames(node.param)) declare(name);
      const changed = node.type === 'AssignmentExpression' ? node.left : node.type === 'UpdateExpression' || (node.type === 'UnaryExpression' && node.operator === 'delete') ? node.argument : undefined;
      if (isNode(changed) && changed.type === 'MemberExpression' && (changed.object as Node).type === 'Identifier') shadowed.add(nameOf(changed.object));
      const value = this.valueOf(node);
      if (typeof value === 'number' && (node.type === 'Identifier' || node.type === 'MemberExpression')) {
        if (!isBinding(node, parent)) edits.push({ start: node.start, end: node.end, text: this.textOf(node, value, parent) });
        if (node.type === 'MemberExpression') return;
      }
      for (const child of nodesIn(node)) visit(child, node);
    };
    const declare = (name: string): void => {
      declared.set(name, (declared.get(name) ?? 0) + 1);
      if ((declared.get(name) ?? 0) > 1) shadowed.add(name);
    };
    visit(this.program, undefined);
    let text = '';
    let at = 0;
    for (const edit of edits.sort((a, b) => a.start - b.start)) {
      const name = /^[\w$]+/.exec(this.source.slice(edit.start, edit.end))?.[0] ?? '';
      if (!NAME.test(name)) throw new Error(`no name at ${edit.start}: ${this.source.slice(edit.start, edit.end)}`);
      if (shadowed.has(name)) continue;
      text += this.source.slice(at, edit.start) + edit.text;
      at = edit.end;
    }
    return text + this.source.slice(at);
  }

  private textOf(node: Node, value: number, parent: Node | undefined): string {
    const number = Object.is(value, -0) || value < 0 ? `(${Object.is(value, -0) ? '-0' : value})` : String(value);
    if (parent?.type === 'Property' && parent.shorthand === true) return `${nameOf(node)}: ${number}`;
    // `1.toString` is no member of 1.
    return parent?.type === 'MemberExpression' && parent.object === node ? `(${number})` : number;
  }

  private takeImport(statement: Node, constantsOf: (specifier: string) => Constants): void {
    const specifier = (statement.source as Node).value as string;
    if (!specifier.startsWith('.')) return;
    for (const each of statement.specifiers as Node[]) {
      if (each.type !== 'ImportSpecifier') continue;
      const value = constantsOf(specifier).get(nameOf(each.imported));
      if (value !== undefined && NAME.test(nameOf(each.local))) this.known.set(nameOf(each.local), value);
    }
  }

  private takeDeclaration(declaration: Node, isExported: boolean): void {
    if (declaration.type !== 'VariableDeclaration' || declaration.kind !== 'const') return;
    for (const { id, init } of declaration.declarations as unknown as { id: Node; init: Node | null }[]) {
      const name = id.type === 'Identifier' ? nameOf(id) : '';
      if (!NAME.test(name) || init === null) continue;
      const value = this.valueOf(init) ?? this.membersOf(init);
      if (value === undefined) continue;
      this.known.set(name, value);
      if (isExported) this.exported.set(name, value);
    }
  }

  /** Undefined if it is no constant number. */
  private valueOf(node: Node): number | undefined {
    switch (node.type) {
      case 'Literal':
        return typeof node.value === 'number' ? node.value : undefined;
      case 'Identifier': {
        const value = this.known.get(nameOf(node));
        return typeof value === 'number' ? value : undefined;
      }
      case 'MemberExpression': {
        const object = node.object as Node;
        const members = object.type === 'Identifier' && node.computed === false ? this.known.get(nameOf(object)) : undefined;
        return typeof members === 'object' ? members.get(nameOf(node.property)) : undefined;
      }
      case 'UnaryExpression': {
        const value = this.valueOf(node.argument as Node);
        return value === undefined ? undefined : node.operator === '-' ? -value : node.operator === '~' ? ~value : undefined;
      }
      case 'BinaryExpression': {
        const left = this.valueOf(node.left as Node);
        const right = this.valueOf(node.right as Node);
        return left === undefined || right === undefined ? undefined : BINARY[node.operator as string]?.(left, right);
      }
      default:
        return undefined;
    }
  }

  /** Of an object of numbers. Objects that are not of numbers only may be of anything. */
  private membersOf(node: Node): ReadonlyMap<string, number> | undefined {
    if (node.type !== 'ObjectExpression') return undefined;
    const members = new Map<string, number>();
    for (const property of node.properties as Node[]) {
      const value = property.type === 'Property' && property.computed === false && property.kind === 'init' ? this.valueOf(property.value as Node) : undefined;
      if (value === undefined) return undefined;
      members.set(nameOf(property.key), value);
    }
    return members;
  }
}

/** A name that is not the use of a value: what is declared, assigned to, or a key. */
function isBinding(node: Node, parent: Node | undefined): boolean {
  switch (parent?.type) {
    case 'VariableDeclarator':
      return parent.id === node;
    case 'MemberExpression':
      return parent.property === node && parent.computed === false;
    case 'Property':
    case 'PropertyDefinition':
    case 'MethodDefinition':
      return parent.key === node && parent.value !== node && parent.computed === false;
    case 'AssignmentExpression':
      return parent.left === node;
    case 'UpdateExpression':
    case 'LabeledStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
    case 'MetaProperty':
      return true;
    default:
      return parent !== undefined && parent.type === 'UnaryExpression' && (parent.operator === 'delete' || parent.operator === 'typeof');
  }
}

/** What a pattern declares. */
function patternNames(pattern: Node): string[] {
  if (pattern.type === 'Identifier') return [nameOf(pattern)];
  if (pattern.type === 'AssignmentPattern') return patternNames(pattern.left as Node);
  if (pattern.type === 'Property') return patternNames(pattern.value as Node);
  return nodesIn(pattern).flatMap(patternNames);
}

/** Of all modules in folders. Returns how many were changed. */
function inlineIn(folders: readonly string[]): number {
  const modules = new Map<string, ConstantModule>();
  const loading = new Set<string>();
  const moduleAt = (path: string): ConstantModule => {
    let module = modules.get(path);
    if (module === undefined) {
      loading.add(path);
      module = new ConstantModule(readFileSync(path, 'utf8'), (specifier) => {
        const other = join(dirname(path), specifier);
        // In a circle, the module that was asked first goes without.
        return !other.endsWith('.js') || loading.has(other) ? new Map() : moduleAt(other).constants;
      });
      loading.delete(path);
      modules.set(path, module);
    }
    return module;
  };
  const paths = folders.flatMap((folder) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js')).map((name) => resolve(folder, name)));
  const results = paths.map((path) => ({ path, text: moduleAt(path).inlined() }));
  let changed = 0;
  for (const { path, text } of results) {
    if (text === readFileSync(path, 'utf8')) continue;
    writeFileSync(path, text);
    changed++;
  }
  return changed;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) process.stderr.write(`constants written into ${inlineIn(process.argv.slice(2))} modules\n`);
