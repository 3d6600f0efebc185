/** GNU objdump as the oracle of the disassembler. */
import { execFileSync } from 'node:child_process';

export const hasObjdump = ((): boolean => {
  try {
    return /GNU objdump/.test(execFileSync('objdump', ['--version'], { encoding: 'utf8' }));
  } catch {
    return false;
  }
})();
if (!hasObjdump) console.warn('the disassembler is not compared with objdump, because that is not installed (Debian: apt-get install binutils)');

export interface ObjdumpLine {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** One blank between words, without names of symbols; targets with 0x, distances from rip with their sign. */
  readonly text: string;
}

/** Throws if objdump fails. */
export function objdump(argv: readonly string[]): readonly ObjdumpLine[] {
  const out = execFileSync('objdump', ['-d', '-w', '-M', 'intel', ...argv], { encoding: 'utf8', maxBuffer: 1 << 29, env: { ...process.env, LC_ALL: 'C' } });
  const lines: ObjdumpLine[] = [];
  for (const line of out.split('\n')) {
    const match = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t(.*)$/.exec(line);
    if (match !== null) lines.push({ address: BigInt(`0x${match[1]}`), bytes: Buffer.from(match[2].replaceAll(' ', ''), 'hex'), text: normal(match[3]) });
  }
  return lines;
}

function normal(text: string): string {
  return text
    .replace(/\s+#.*$/, '')
    .replace(/ <[^>]*>/, '')
    .replace(/\[rip\+0x(f[0-9a-f]{15})\]/, (_, hex: string) => `[rip-0x${BigInt.asUintN(64, -BigInt(`0x${hex}`)).toString(16)}]`)
    .replace(/\s+/g, ' ')
    .replace(/^((?:bnd |repz |repnz |data16 |cs |ds )*(?:call|jmp|j[a-z]+|loop[a-z]*|xbegin)(?:,p[nt])?) ([0-9a-f]+)$/, '$1 0x$2')
    .trim();
}
