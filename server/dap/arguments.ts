/** The arguments of requests, which are not trusted: each is looked at before it is used. */
import { DebuggerError } from '../debugger/error.ts';

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function optionalText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new DebuggerError(`"${name}" is no text`);
  return value;
}
export function text(fields: Fields, name: string): string {
  const value = optionalText(fields, name);
  if (value === undefined) throw new DebuggerError(`"${name}" is missing`);
  return value;
}

/** A whole number from `min` to `max`. */
export function optionalCount(fields: Fields, name: string, min: number, max: number): number | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) throw new DebuggerError(`"${name}" is no whole number from ${min} to ${max}`);
  return value;
}
export function count(fields: Fields, name: string, min: number, max: number): number {
  const value = optionalCount(fields, name, min, max);
  if (value === undefined) throw new DebuggerError(`"${name}" is missing`);
  return value;
}

export function list(fields: Fields, name: string, max: number): readonly unknown[] {
  const value = fields[name];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new DebuggerError(`"${name}" is no list`);
  if (value.length > max) throw new DebuggerError(`"${name}" has ${value.length} entries; ${max} are allowed`);
  return value as readonly unknown[];
}
export function texts(fields: Fields, name: string, max: number): readonly string[] {
  return list(fields, name, max).map((entry) => {
    if (typeof entry !== 'string') throw new DebuggerError(`"${name}" has an entry that is no text`);
    return entry;
  });
}

/** `0x...` or decimal: an address that was given to the client before. */
export function address(fields: Fields, name: string): bigint {
  const value = text(fields, name);
  if (!/^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(value)) throw new DebuggerError(`"${name}": "${value.slice(0, 40)}" is no address`);
  return BigInt.asUintN(64, BigInt(value));
}
