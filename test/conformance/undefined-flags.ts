/**
 * Flags that an instruction leaves undefined by the manual (SDM vol. 2, "Flags Affected"), and what an Intel CPU makes of them. The engine does what
 * Intel does, so on a CPU that agrees with the fixtures about an instruction nothing is masked; on another the middle column is.
 */
import { AF, CF, OF, PF, SF, ZF } from './layout.ts';

const ALL = CF | PF | AF | ZF | SF | OF;

//                 names                undefined by the manual  Intel (Cascade Lake)
const TABLE: readonly (readonly [string, number,                 string])[] = [
  ['or and xor test',                    AF,                     'clear'],
  ['shl sal shr sar',                    AF | OF | CF,           'AF clear; OF as for a shift by one, whatever the count; CF the last bit out, 0 beyond the operand (SAR: the sign)'],
  ['rol ror',                            OF,                     'as for a rotate by one; a register by an immediate other than 1 leaves it alone'],
  ['rcl rcr',                            OF,                     'as for a rotate by one; left alone when the count is a multiple of the width with the carry'],
  ['shld shrd',                          ALL,                    'AF clear; OF as for a shift by one; 16 bits by more than 16: source, then destination again'],
  ['mul imul imul1',                     SF | ZF | AF | PF,      'ZF AF clear, SF PF of the low half'],
  ['div idiv',                           ALL,                    'left alone'],
  ['bsf bsr',                            CF | OF | SF | AF | PF, 'clear, PF of the bit number; of zero: the destination stays, upper half and all, PF set'],
  ['bt bts btr btc',                     OF | SF | AF | PF,      'left alone'],
  ['aaa aas',                            OF | SF | ZF | PF,      'SF ZF PF of AL, OF clear'],
  ['daa das',                            OF,                     'clear'],
  ['aam aad',                            OF | AF | CF,           'AAM clears them, AAD adds and sets them so'],
  // A sequence may consume what is undefined: it runs only where nothing is masked.
  ['seq',                                ALL,                    ''],
];

const MANUAL: ReadonlyMap<string, number> = new Map(TABLE.flatMap(([names, flags]) => names.split(' ').map((name) => [name, flags] as const)));

/** By the manual. */
export function undefinedFlags(name: string): number {
  return MANUAL.get(name) ?? 0;
}
