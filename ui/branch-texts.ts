/** A branch as a person writes it in the form. */
import type { BranchSettings } from '../engine/protocol/lab.ts';

export interface BranchTexts {
  readonly name: string;
  readonly at: string;
  /** `rax=7, rip=power_off` */
  readonly registers: string;
  /** `ADDRESS=BYTES`, several after commas; bytes are hexadecimal, in the order of memory. */
  readonly memory: string;
  /** \n and \\ are understood. */
  readonly typed: string;
  /** `@POSITION`, or a text of the console. */
  readonly until: string;
  readonly inputs: string;
}

/** What a person wrote. Throws Error that says what is wrong with it. */
export function branchOf({ name, at, registers, memory, typed, until, inputs }: BranchTexts): BranchSettings {
  const pairs = (text: string, what: string): readonly (readonly [string, string])[] =>
    text.split(',').map((each) => each.trim()).filter((each) => each !== '').map((each) => {
      const cut = each.indexOf('=');
      if (cut < 1 || cut === each.length - 1) throw new Error(`${what}: "${each}" is not NAME=VALUE`);
      return [each.slice(0, cut).trim(), each.slice(cut + 1).trim()];
    }); // prettier-ignore
  const set = Object.fromEntries(pairs(registers, 'Registers'));
  const write = pairs(memory, 'Memory').map(([address, bytes]) => {
    if (!/^([0-9a-fA-F]{2})+$/.test(bytes)) throw new Error(`Memory: "${bytes}" is no row of bytes: give two hexadecimal digits for each`);
    return { address, bytes };
  });
  const position = /^@([\d,]+)$/.exec(until)?.[1].replaceAll(',', '');
  return {
    name, at,
    ...(Object.keys(set).length > 0 && { set }),
    ...(write.length > 0 && { write }),
    ...(typed !== '' && { typed: typed.replace(/\\([n\\])/g, (_, letter: string) => (letter === 'n' ? '\n' : '\\')) }),
    ...(inputs === 'none' && { inputs }),
    ...(position !== undefined ? { untilPosition: Number(position) } : until !== '' && { untilText: until }),
  }; // prettier-ignore
}
