/** Narrowing for restore(): a saved state has the shape that save() gave it, or it is a bug and stops here. */

import type { SavedState, SavedValue } from '../device.ts';

function mismatch(field: string, expected: string): never {
  throw new TypeError(`saved state: field "${field}" is not ${expected}`);
}

export function savedNumber(state: SavedState, field: string): number {
  const value = state[field];
  return typeof value === 'number' ? value : mismatch(field, 'a number');
}

export function savedBoolean(state: SavedState, field: string): boolean {
  const value = state[field];
  return typeof value === 'boolean' ? value : mismatch(field, 'a boolean');
}

export function savedString(state: SavedState, field: string): string {
  const value = state[field];
  return typeof value === 'string' ? value : mismatch(field, 'a string');
}

export function savedBytes(state: SavedState, field: string): Uint8Array {
  const value = state[field];
  return value instanceof Uint8Array ? value : mismatch(field, 'bytes');
}

export function savedList(state: SavedState, field: string): readonly SavedValue[] {
  const value = state[field];
  return isList(value) ? value : mismatch(field, 'a list');
}

export function savedNumbers(state: SavedState, field: string): number[] {
  return savedList(state, field).map((value) => (typeof value === 'number' ? value : mismatch(field, 'a list of numbers')));
}

export function savedBytesList(state: SavedState, field: string): Uint8Array[] {
  return savedList(state, field).map((value) => (value instanceof Uint8Array ? value : mismatch(field, 'a list of bytes')));
}

export function savedStates(state: SavedState, field: string): SavedState[] {
  return savedList(state, field).map((value) => (isState(value) ? value : mismatch(field, 'a list of states')));
}

export function savedState(state: SavedState, field: string): SavedState {
  const value = state[field];
  return isState(value) ? value : mismatch(field, 'a state');
}

function isList(value: SavedValue | undefined): value is readonly SavedValue[] {
  return Array.isArray(value);
}

function isState(value: SavedValue | undefined): value is SavedState {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
}
