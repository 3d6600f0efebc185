/**
 * The integer instructions as the manual's opcode map has them (SDM vol. 2, appendix A): one row a form. The generator draws prefixes,
 * registers, addresses and values for each row; a form that is not here is not tested.
 *
 * Operands: a letter for the place and one for the size.
 *   E r/m   M r/m, memory only   R r/m, register only   G reg   Z low bits of the opcode   S segment in reg
 *   I immediate   J branch   O absolute address   A accumulator, C cl, 1 one (nothing is encoded)
 *   b 8   w 16   d 32   q 64   v 16, 32 or 64 by prefix   y 32 or 64   z 16 or 32, for immediates and branches
 * Words after the operands:
 *   64 or 32    only in this mode; else both
 *   lock        may take a LOCK prefix when its destination is memory
 *   d64         64 bits by default in 64-bit mode, 16 with 66h, never 32
 *   rex.w       has a meaning of its own, not an operand size
 *   @NAME       how the generator prepares registers and memory
 */

export type Setup =
  | 'none' | 'count' | 'divide' | 'bit' | 'compare' | 'compare-wide' | 'string' | 'input-output' | 'stack' | 'pop-flags' | 'enter' | 'leave' | 'return' | 'indirect'
  | 'branch' | 'loop' | 'translate' | 'bound' | 'far-pointer' | 'interrupt' | 'sequence';

export interface Form {
  readonly name: string;
  readonly prefix: number | undefined;
  readonly opcode: readonly number[];
  readonly digit: number | undefined;
  readonly operands: readonly string[];
  readonly modes: readonly (64 | 32)[];
  readonly lock: boolean;
  readonly d64: boolean;
  readonly rexW: boolean;
  readonly setup: Setup;
}

//  opcode      name      operands    notes
const TABLE = `
    40+         inc       Zv          32
    48+         dec       Zv          32
    50+         push      Zv          d64 @stack
    58+         pop       Zv          d64 @stack
    60          pusha     -           32 osz @stack
    61          popa      -           32 osz @stack
    62          bound     Gz Mz       32 @bound
    63          movsxd    Gv Ed       64
    63          arpl      Ew Gw       32
    68          push      Iz          d64 @stack
    6a          push      Ib          d64 @stack
    69          imul      Gv Ev Iz
    6b          imul      Gv Ev Ib
    6c          ins       -           @input-output
    6d          ins       -           @input-output
    6e          outs      -           @input-output
    6f          outs      -           @input-output
    84          test      Eb Gb
    85          test      Ev Gv
    86          xchg      Eb Gb       lock
    87          xchg      Ev Gv       lock
    88          mov       Eb Gb
    89          mov       Ev Gv
    8a          mov       Gb Eb
    8b          mov       Gv Ev
    8c          mov-sreg  Ev S
    8d          lea       Gv M
    8d          lea       Gv M
    8d          lea       Gv M
    8f/0        pop       Ev          d64 @stack
    90          nop       -
    f3.90       pause     -
    90+         xchg      Zv A
    98          cbw       -           osz
    99          cwd       -           osz
    9c          pushf     -           d64 @stack
    9d          popf      -           d64 @pop-flags
    9e          sahf      -
    9f          lahf      -
    a0          mov       A Ob
    a1          mov       A Ov
    a2          mov       Ob A
    a3          mov       Ov A
    a4          movs      -           @string
    a5          movs      -           osz @string
    a4          movs      -           @string
    a5          movs      -           osz @string
    a6          cmps      -           @string
    a7          cmps      -           osz @string
    a8          test      A Ib
    a9          test      A Iz        osz
    aa          stos      -           @string
    ab          stos      -           osz @string
    ac          lods      -           @string
    ad          lods      -           osz @string
    ae          scas      -           @string
    af          scas      -           osz @string
    b0+         mov       Zb Ib
    b8+         mov       Zv Iv
    c2          ret       Iw          @return
    c3          ret       -           @return
    c4          les       Gz Mp       32 @far-pointer
    c5          lds       Gz Mp       32 @far-pointer
    c6/0        mov       Eb Ib
    c7/0        mov       Ev Iz
    c8          enter     Iw Ib       d64 @enter
    c9          leave     -           d64 @leave
    cd          int       Ib          @interrupt
    ce          into      -           32
    d4          aam       Ib          32
    d5          aad       Ib          32
    d6          salc      -           32
    27          daa       -           32
    2f          das       -           32
    37          aaa       -           32
    3f          aas       -           32
    d7          xlat      -           @translate
    e0          loopne    Jb          @loop
    e1          loope     Jb          @loop
    e2          loop      Jb          @loop
    e3          jcxz      Jb          @loop
    e4          in        Ib          @input-output
    ed          in        -           @input-output
    e7          out       Ib          @input-output
    ee          out       -           @input-output
    e8          call      Jz          @branch
    e9          jmp       Jz          @branch
    eb          jmp       Jb          @branch
    f4          hlt       -
    f5          cmc       -
    f8          clc       -
    f9          stc       -
    fa          cli       -
    fb          sti       -
    fc          cld       -
    fd          std       -
    f6/0        test      Eb Ib
    f6/1        test      Eb Ib
    f7/0        test      Ev Iz
    f7/1        test      Ev Iz
    f6/2        not       Eb          lock
    f7/2        not       Ev          lock
    f6/3        neg       Eb          lock
    f7/3        neg       Ev          lock
    f6/4        mul       Eb
    f7/4        mul       Ev
    f6/5        imul1     Eb
    f7/5        imul1     Ev
    f6/6        div       Eb          @divide
    f7/6        div       Ev          @divide
    f6/7        idiv      Eb          @divide
    f7/7        idiv      Ev          @divide
    f7/6        div       Ev          @divide
    f7/7        idiv      Ev          @divide
    fe/0        inc       Eb          lock
    fe/1        dec       Eb          lock
    ff/0        inc       Ev          lock
    ff/1        dec       Ev          lock
    ff/2        call      Ev          d64 @indirect
    ff/4        jmp       Ev          d64 @indirect
    ff/6        push      Ev          d64 @stack
    0f0d/1      prefetchw M
    0f18/0      prefetch  M
    0f18/3      prefetch  M
    0f1f/0      nop       Ev
    0fa0        push-sreg -           d64 @stack
    0fa8        push-sreg -           d64 @stack
    0fa3        bt        Ev Gv       @bit
    0fab        bts       Ev Gv       lock @bit
    0fb3        btr       Ev Gv       lock @bit
    0fbb        btc       Ev Gv       lock @bit
    0fba/4      bt        Ev Ib
    0fba/5      bts       Ev Ib       lock
    0fba/6      btr       Ev Ib       lock
    0fba/7      btc       Ev Ib       lock
    0fa4        shld      Ev Gv Ib
    0fa5        shld      Ev Gv C     @count
    0fac        shrd      Ev Gv Ib
    0fad        shrd      Ev Gv C     @count
    0fae/7      clflush   M
    0faf        imul      Gv Ev
    0fb0        cmpxchg   Eb Gb       lock @compare
    0fb1        cmpxchg   Ev Gv       lock @compare
    0fb6        movzx     Gv Eb
    0fb7        movzx     Gv Ew
    0fbe        movsx     Gv Eb
    0fbf        movsx     Gv Ew
    f3.0fb8     popcnt    Gv Ev
    0fbc        bsf       Gv Ev
    0fbd        bsr       Gv Ev
    0fc0        xadd      Eb Gb       lock
    0fc1        xadd      Ev Gv       lock
    0fc3        movnti    My Gy
    0fc7/1      cmpxchg8b M           lock rex.w @compare-wide
    0fc8+       bswap     Zv
    f2.0f38f0   crc32     Gy Eb
    f2.0f38f1   crc32     Gy Ev
    06          push-sreg -           32 osz @stack
    0e          push-sreg -           32 osz @stack
    16          push-sreg -           32 osz @stack
    1e          push-sreg -           32 osz @stack
    sequence    seq       -           64 @sequence
`;

const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'];
const SHIFTS = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar'];
//  n is the operation: added to the opcode as n * 8, or the digit
const ALU_TABLE = `
    00          %         Eb Gb       lock
    01          %         Ev Gv       lock
    02          %         Gb Eb
    03          %         Gv Ev
    04          %         A Ib
    05          %         A Iz        osz
    80/n        %         Eb Ib       lock
    81/n        %         Ev Iz       lock
    82/n        %         Eb Ib       32 lock
    83/n        %         Ev Ib       lock
`;
const SHIFT_TABLE = `
    c0/n        %         Eb Ib
    c1/n        %         Ev Ib
    d0/n        %         Eb 1
    d1/n        %         Ev 1
    d2/n        %         Eb C        @count
    d3/n        %         Ev C        @count
`;
const CONDITION_TABLE = `
    70          j         Jb          @branch
    0f80        j         Jz          @branch
    0f90        set       Eb
    0f40        cmov      Gv Ev
`;

/** Opcodes that are #UD in 64-bit mode (62h, C4h and C5h are prefixes there), and in both. */
const INVALID_64 = ['06', '07', '0e', '16', '17', '1e', '1f', '27', '2f', '37', '3f', '60', '61', '82/0', '9a', 'ce', 'd4', 'd5', 'd6', 'ea'];
const INVALID = ['8f/1', 'c6/1', 'c7/2', 'fe/2', 'fe/7', 'ff/7', '0f0b', '0fb9', '0fff', '0fba/0', '0fba/3', '0f04', '0f0a', '0f24', '0f26', '0f36', '0fa6', '0fa7', '0fc7/0'];
/** Register forms of what takes memory only. */
const INVALID_REGISTER = ['8d', 'ff/3', 'ff/5', '0fb2', '0fc3', '0fc7/1'];

function row(line: string): Form {
  const [opcode = '', name = '', ...words] = line.trim().split(/\s+/);
  const operands = words.filter((w) => /^([EMRGZIJO][bwdqvyzp]|[SACM1])$/.test(w));
  const notes = words.filter((w) => !operands.includes(w) && w !== '-');
  const [, prefix, bytes = '', digit] = /^(?:([0-9a-f]{2})\.)?([0-9a-f]+)\+?(?:\/(\d))?$/.exec(opcode) ?? [];
  const unknown = notes.filter((n) => !['64', '32', 'lock', 'd64', 'rex.w', 'osz'].includes(n) && !n.startsWith('@'));
  if (unknown.length > 0) throw new Error(`forms: ${unknown.join(' ')} in ${line}`);
  return {
    name,
    prefix: prefix === undefined ? undefined : Number.parseInt(prefix, 16),
    opcode: [...Buffer.from(bytes, 'hex')],
    digit: digit === undefined ? undefined : Number(digit),
    // An operand that nothing encodes still says that there is an operand size.
    operands: notes.includes('osz') ? [...operands, 'Av'] : operands,
    modes: notes.includes('64') ? [64] : notes.includes('32') ? [32] : [64, 32],
    lock: notes.includes('lock'),
    d64: notes.includes('d64'),
    rexW: notes.includes('rex.w'),
    setup: (notes.find((n) => n.startsWith('@'))?.slice(1) ?? 'none') as Setup,
  };
}

function rows(table: string): Form[] {
  return table.trim().split('\n').map(row);
}

function expand(table: string, names: readonly string[], opcodeStep: number): Form[] {
  return names.flatMap((name, n) => table.trim().split('\n').map((line) => {
    const form = row(line.replace('/n', `/${n}`).replace('%', name));
    if (form.digit !== undefined) return form;
    return { ...form, opcode: form.opcode.map((b, i) => (i === form.opcode.length - 1 ? b + n * opcodeStep : b)) };
  }));
}

const CONDITIONS = Array.from({ length: 16 }, (_, i) => i);

export const FORMS: readonly Form[] = [
  ...expand(ALU_TABLE, ALU, 8),
  ...expand(SHIFT_TABLE, SHIFTS, 0),
  ...rows(CONDITION_TABLE).flatMap((form) => CONDITIONS.map((c) => ({ ...form, name: `${form.name}cc`, opcode: form.opcode.map((b, i) => (i === form.opcode.length - 1 ? b + c : b)) }))),
  ...rows(TABLE),
  ...INVALID_64.map((opcode) => row(`${opcode} invalid - 64`)),
  ...INVALID.map((opcode) => row(`${opcode} invalid ${opcode.includes('/') ? 'Ev' : '-'}`)),
  ...INVALID_REGISTER.map((opcode) => row(`${opcode} invalid Rv`)),
  // Sequences are drawn from the rows above; they get as many cases as twenty rows.
  ...Array.from({ length: 19 }, () => row('sequence seq - 64 @sequence')),
];
