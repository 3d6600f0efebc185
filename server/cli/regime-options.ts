/** Options and lines of the verbs that know regimes. */
import { RegimeError, type OptionValue } from '../../engine/regimes/regime.ts';
import type { ChosenCost } from '../../engine/regimes/costs/cost-table.ts';
import { parsePlatform, type Platform } from '../../engine/regimes/platforms/platform.ts';
import { FileSource } from '../store/files.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { table } from './format.ts';

export const REGIME_FILE_OPTION: OptionSpec = { name: 'regime-file', value: 'FILE', help: 'a platform of your own as JSON: id, title, regime, options, notes, cpu, costs; may be repeated', multiple: true };

export const REGIME_OPTION_OPTION: OptionSpec = { name: 'option', value: 'NAME=VALUE', help: 'an option of the regime (`chronovisor regimes show R`); may be repeated', multiple: true };

/** What --option says, by name. Throws UsageError. */
export function optionsAsked(parsed: Arguments): Record<string, OptionValue> {
  const options: Record<string, OptionValue> = {};
  for (const text of parsed.all('option')) {
    const at = text.indexOf('=');
    if (at <= 0) throw parsed.wrong('option', text, 'NAME=VALUE, such as apicv=off');
    options[text.slice(0, at)] = optionValue(text.slice(at + 1));
  }
  return options;
}

function optionValue(text: string): OptionValue {
  if (text === 'on' || text === 'true' || text === 'yes') return true;
  if (text === 'off' || text === 'false' || text === 'no') return false;
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

/** Throws RegimeError for a file that is no platform, StoreError for one that cannot be read. */
export function userPlatforms(parsed: Arguments): Platform[] {
  return parsed.all('regime-file').map((path) => {
    const source = new FileSource(path, '--regime-file');
    const text = new TextDecoder().decode(source.read(0, source.length));
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new RegimeError(`${path}: not JSON: ${error instanceof Error ? error.message : String(error)}`);
    }
    return parsePlatform(value, path);
  });
}

/** Behind a heading `costs on CPU, cycles`: which of the four things that are called the cost of an exit a row is. */
export const DEFINITIONS_TEXT = '(guest: exit, handler and entry, as the guest sees them; host: exit to entry, as the host does; hardware: the transitions alone; event: no exit)';

/** A line for each cost: cycles, definition, year, trust, source. */
export function sourceLines(rows: readonly ChosenCost[]): string[] {
  return table(rows.map((row) => [row.parameter, cyclesText(row), row.definition, String(row.year), row.trust, `${row.source}${row.note === undefined ? '' : ` (${row.note})`}`]));
}

function cyclesText({ low, typical, high }: ChosenCost): string {
  return low === typical && typical === high ? String(typical) : `${typical} (${low} to ${high})`;
}
