/**
 * Saving and restoring for devices whose whole state is one plain object of fixed shape: numbers, booleans,
 * strings, byte arrays, and fixed-length lists and objects of these. A device keeps such an object in one field,
 * and that field is what is saved; all its other fields are wiring, which a new instance gets from its constructor.
 */
import type { SavedState, SavedValue } from './device.ts';

/** A deep copy that shares nothing with the device. */
export function saveState<State extends SavedState>(state: State): SavedState {
  return copyObject(state);
}

/**
 * A deep copy of `saved` with the shape of `template`. Throws when a field is missing, is of another type or
 * length, or is unknown: a state of another version must not be taken for one of this version.
 */
export function restoreState<State extends SavedState>(template: State, saved: SavedState, device: string): State {
  checkShape(template, saved, device);
  return copyObject(saved) as State;
}

function copyObject(state: SavedState): SavedState {
  const copy: Record<string, SavedValue> = {};
  for (const field of Object.keys(state)) copy[field] = copyValue(state[field]);
  return copy;
}

function copyValue(value: SavedValue): SavedValue {
  if (value instanceof Uint8Array) return value.slice();
  if (isList(value)) return value.map(copyValue);
  if (typeof value === 'object') return copyObject(value);
  return value;
}

function isList(value: SavedValue): value is readonly SavedValue[] {
  return Array.isArray(value);
}

function checkShape(template: SavedValue, saved: SavedValue | undefined, path: string): void {
  if (saved === undefined) throw new TypeError(`${path}: missing in the saved state`);
  if (template instanceof Uint8Array) {
    if (!(saved instanceof Uint8Array) || saved.length !== template.length) {
      throw new TypeError(`${path}: expected ${template.length} bytes in the saved state`);
    }
  } else if (isList(template)) {
    if (!isList(saved) || saved.length !== template.length) {
      throw new TypeError(`${path}: expected a list of ${template.length} in the saved state`);
    }
    for (let index = 0; index < template.length; index++) checkShape(template[index], saved[index], `${path}[${index}]`);
  } else if (typeof template === 'object') {
    if (typeof saved !== 'object' || saved instanceof Uint8Array || isList(saved)) {
      throw new TypeError(`${path}: expected an object in the saved state`);
    }
    for (const field of Object.keys(template)) checkShape(template[field], saved[field], `${path}.${field}`);
    for (const field of Object.keys(saved)) {
      if (!(field in template)) throw new TypeError(`${path}.${field}: unknown field in the saved state`);
    }
  } else if (typeof saved !== typeof template || (typeof saved === 'number' && !Number.isSafeInteger(saved))) {
    throw new TypeError(`${path}: expected a ${typeof template} in the saved state`);
  }
}
