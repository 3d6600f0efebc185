/**
 * What an instruction writes, and from what: read off the disassembler's text, one mnemonic at a time. For going back from a value to where it came from.
 *
 *     movzx eax,BYTE PTR [rdi]     eax  ◄─copy──  1 byte at [rdi]
 *     add   rax,rdx                rax  ◄─compute─ rax, rdx
 *     in    al,dx                  al   ◄─device─ port dx
 *
 * What is not known says so: `unknown`, with all its operands as inputs.
 */
import type { Instruction } from './disassembler.ts';
import { GENERAL_REGISTERS } from './inspect.ts';

/** Part of a register: bytes from the lowest one on. */
export interface RegisterPlace {
  readonly kind: 'register';
  /** As readRegister() knows it: `rax`, `xmm3`, `cr2`, `gs.base`. */
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
}
export interface MemoryPlace {
  readonly kind: 'memory';
  /** Added up, with the base of the segment. `rip` is that of the next instruction. */
  readonly terms: readonly { readonly register: string; readonly scale: bigint }[];
  readonly displacement: bigint;
  readonly segment: 'fs' | 'gs' | undefined;
  readonly addressBits: 32 | 64;
  readonly bytes: number;
}
export interface ConstantPlace {
  readonly kind: 'constant';
  readonly value: bigint;
}
export type Place = RegisterPlace | MemoryPlace | ConstantPlace;

export interface Effect {
  readonly to: RegisterPlace | MemoryPlace;
  /**
   * copy: the bytes of the one input, extended if there are more; compute: a function of the inputs; device: what a port gave; machine: the CPU tells of itself
   * (CPUID, RDTSC, MSRs); unknown: this decoder does not know, and the inputs are all operands.
   */
  readonly how: 'copy' | 'compute' | 'device' | 'machine' | 'unknown';
  readonly from: readonly Place[];
  /** A copy fills the bytes above with the sign. */
  readonly isSigned?: boolean;
  /** Written only if this condition of the flags holds (CMOVcc); else the register keeps its value. */
  readonly condition?: string;
}

const NUMBERS: ReadonlyMap<string, RegisterPlace> = new Map([
  ...GENERAL_REGISTERS.flatMap((name, i): (readonly [string, RegisterPlace])[] => {
    const legacy = name.slice(1);
    const place = (bytes: number, at = 0): RegisterPlace => ({ kind: 'register', name, at, bytes });
    if (i >= 8) return [[name, place(8)], [`${name}d`, place(4)], [`${name}w`, place(2)], [`${name}b`, place(1)]];
    const low = i < 4 ? legacy.replace('x', 'l') : `${legacy}l`;
    return [[name, place(8)], [`e${legacy}`, place(4)], [legacy, place(2)], [low, place(1)], ...(i < 4 ? ([[legacy.replace('x', 'h'), place(1, 1)]] as const) : [])];
  }),
  ...Array.from({ length: 16 }, (_, i) => [`xmm${i}`, { kind: 'register', name: `xmm${i}`, at: 0, bytes: 16 }] as const),
  ...['cr0', 'cr2', 'cr3', 'cr4', 'dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7'].map((name) => [name, { kind: 'register', name, at: 0, bytes: 8 }] as const),
  ...['es', 'cs', 'ss', 'ds', 'fs', 'gs'].map((name) => [name, { kind: 'register', name, at: 0, bytes: 2 }] as const),
]); // prettier-ignore

const POINTER_BYTES: Readonly<Record<string, number>> = { BYTE: 1, WORD: 2, DWORD: 4, QWORD: 8, XMMWORD: 16, OWORD: 16, TBYTE: 10, FWORD: 6 };

export function register(name: string): RegisterPlace | undefined {
  return NUMBERS.get(name);
}

/** The operands of the text; what none is known for is left out. */
export function operandsOf({ operands }: Pick<Instruction, 'operands'>): readonly (Place | undefined)[] {
  return operands === '' ? [] : operands.split(',').map((text) => operandOf(text.trim()));
}

function operandOf(text: string): Place | undefined {
  const known = NUMBERS.get(text);
  if (known !== undefined) return known;
  if (/^-?(0x[0-9a-f]+|\d+)$/.test(text)) return { kind: 'constant', value: text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text) };
  const memory = /^(?:([A-Z]+) PTR )?(?:([a-z]s):)?(?:\[([^\]]+)\]|(0x[0-9a-f]+))$/.exec(text);
  if (memory === null) return undefined;
  const [, pointer, segment, inside, absolute] = memory;
  const bytes = POINTER_BYTES[pointer ?? ''] ?? 0;
  const base = segment === 'fs' || segment === 'gs' ? segment : undefined;
  if (absolute !== undefined) return { kind: 'memory', terms: [], displacement: BigInt(absolute), segment: base, addressBits: 64, bytes };
  const terms: { register: string; scale: bigint }[] = [];
  let displacement = 0n;
  let addressBits: 32 | 64 = 64;
  for (const [, sign, term] of inside.matchAll(/([+-]?)([^+-]+)/g)) {
    if (/^(0x|\d)/.test(term)) {
      displacement += sign === '-' ? -BigInt(term) : BigInt(term);
      continue;
    }
    const [name, scale] = term.split('*');
    if (name === 'riz' || name === 'eiz') continue;
    const place = name === 'rip' || name === 'eip' ? undefined : NUMBERS.get(name);
    if (place?.bytes === 4 || name === 'eip') addressBits = 32;
    terms.push({ register: place?.name ?? 'rip', scale: BigInt(scale ?? 1) });
  }
  return { kind: 'memory', terms, displacement, segment: base, addressBits, bytes };
}

const whole = (name: string): RegisterPlace => ({ kind: 'register', name, at: 0, bytes: 8 });
const FLAGS: RegisterPlace = { kind: 'register', name: 'rflags', at: 0, bytes: 8 };

/** Write nothing but flags, rip or what is outside of the CPU. */
const SILENT = new RegExp(
  [
    'cmp|test|nop|j\\w+|bt|clc|stc|cmc|cli|sti|cld|std|hlt|pause|ud\\d?|out|l?fence|mfence|sfence|endbr\\w*|prefetch\\w*|clflush\\w*|clwb|invlpg\\w*|wbinvd|invd',
    'lgdt|lidt|lldt|ltr|lmsw|clts|swapgs|wrmsr|xsetbv|int\\d?|fwait|u?comis[sd]|ptest|verr|verw|monitor|mwait|vmcall|ldmxcsr|fxrstor\\w*|xrstor\\w*|emms|sahf|fninit|fldcw',
  ].map((names) => `^(?:${names})$`).join('|'),
);
const COPIES = /^(?:mov|movabs|movzx|movbe|movaps|movapd|movups|movupd|movdqa|movdqu|movnti|movntdq|movntps|movq|movd|lddqu)$/;
const STRINGS: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, q: 8 };
const COMPUTES = /^(?:add|adc|sub|sbb|and|or|xor|not|neg|inc|dec|shl|shr|sar|sal|rol|ror|rcl|rcr|shld|shrd|imul|bts|btr|btc|bsf|bsr|tzcnt|lzcnt|popcnt|crc32|bswap|lea|cmpxchg|xadd|set\w+)$/;
const READS_FLAGS = /^(?:adc|sbb|rcl|rcr|set\w+)$/;

/** What it writes, apart from rip and the flags. `bits`: of the code. Near calls and returns, too. */
export function effectsOf(instruction: Instruction, bits: 16 | 32 | 64): readonly Effect[] {
  const words = instruction.mnemonic.split(' ').filter((word) => !/^(?:lock|bnd|notrack|repn?z?|data16|data32|addr32|addr16|rex[.\w]*|[c-gs]s)$/.test(word));
  const isRepeated = /\brepn?z?\b/.test(instruction.mnemonic);
  const name = (words[0] ?? instruction.mnemonic).replace(/,p[nt]$/, '');
  const operands = operandsOf(instruction);
  const [first, second] = operands;
  const word = bits === 64 ? 8 : bits / 8;
  const addressBits = bits === 64 ? 64 : 32;
  const memoryAt = (by: string, displacement: number, bytes: number): MemoryPlace => ({
    kind: 'memory', terms: [{ register: by, scale: 1n }], displacement: BigInt(displacement), segment: undefined, addressBits, bytes,
  }); // prettier-ignore
  const stack = (displacement: number, bytes = word): MemoryPlace => memoryAt('rsp', displacement, bytes);
  const target = first?.kind === 'register' || first?.kind === 'memory' ? first : undefined;
  const known = operands.filter((place): place is Place => place !== undefined);
  const moves = (by: string): Effect => ({ to: whole(by), how: 'compute', from: [whole(by)] });
  const inputs = (...places: readonly (Place | undefined)[]): readonly Place[] => places.filter((place): place is Place => place !== undefined);

  if (name === 'push') return [{ to: stack(-word), how: 'copy', from: inputs(first) }, moves('rsp')];
  if (name === 'pop') return [...(target === undefined ? [] : [{ to: target, how: 'copy' as const, from: [stack(0)] }]), moves('rsp')];
  if (name === 'call') return [{ to: stack(-word), how: 'copy', from: [{ kind: 'constant', value: instruction.address + BigInt(instruction.length) }] }, moves('rsp')];
  if (/^ret/.test(name)) return [moves('rsp')];
  if (name === 'leave') {
    return [{ to: whole('rbp'), how: 'copy', from: [memoryAt('rbp', 0, word)] }, { to: whole('rsp'), how: 'compute', from: [whole('rbp')] }];
  }
  if (/^pushf/.test(name)) return [{ to: stack(-word), how: 'copy', from: [FLAGS] }, moves('rsp')];
  if (/^popf/.test(name)) return [{ to: FLAGS, how: 'copy', from: [stack(0)] }, moves('rsp')];
  if (/^iret/.test(name)) return [{ to: whole('rsp'), how: 'copy', from: [stack(24, 8)] }];
  if (name === 'syscall') return [{ to: whole('rcx'), how: 'copy', from: [{ kind: 'constant', value: instruction.address + 2n }] }, { to: whole('r11'), how: 'copy', from: [FLAGS] }];
  if (/^sysret/.test(name)) return [];
  if (name === 'in') return target === undefined ? [] : [{ to: target, how: 'device', from: inputs(second) }];
  if (/^rdtscp?$/.test(name) || name === 'rdmsr' || name === 'rdpmc' || name === 'xgetbv') {
    const from = name.startsWith('rdtsc') ? [] : [whole('rcx')];
    return ['rax', 'rdx', ...(name === 'rdtscp' ? ['rcx'] : [])].map((to) => ({ to: whole(to), how: 'machine' as const, from }));
  }
  if (name === 'cpuid') return ['rax', 'rbx', 'rcx', 'rdx'].map((to) => ({ to: whole(to), how: 'machine' as const, from: [whole('rax'), whole('rcx')] }));
  if (/^(?:rdrand|rdseed|str|sldt|smsw|rdpid|rd[fg]sbase)$/.test(name)) return target === undefined ? [] : [{ to: target, how: 'machine', from: [] }];
  if (/^(?:sgdt|sidt)$/.test(name)) return target === undefined ? [] : [{ to: target, how: 'machine', from: [] }];
  if (/^(?:cbw|cwde|cdqe)$/.test(name)) {
    const bytes = { cbw: 1, cwde: 2, cdqe: 4 }[name as 'cbw' | 'cwde' | 'cdqe'];
    return [{ to: { kind: 'register', name: 'rax', at: 0, bytes: bytes * 2 }, how: 'copy', from: [{ kind: 'register', name: 'rax', at: 0, bytes }], isSigned: true }];
  }
  if (/^(?:cwd|cdq|cqo)$/.test(name)) {
    const bytes = { cwd: 2, cdq: 4, cqo: 8 }[name as 'cwd' | 'cdq' | 'cqo'];
    return [{ to: { kind: 'register', name: 'rdx', at: 0, bytes }, how: 'compute', from: [{ kind: 'register', name: 'rax', at: 0, bytes }] }];
  }
  if (/^(?:mul|div|idiv)$/.test(name) || (name === 'imul' && operands.length === 1)) {
    const from = inputs(whole('rax'), ...(name.includes('div') ? [whole('rdx')] : []), first);
    return ['rax', 'rdx'].map((to) => ({ to: whole(to), how: 'compute' as const, from }));
  }
  const string = /^(movs|stos|lods|ins)$/.exec(name);
  if (string !== null && (name !== 'movs' || first?.kind === 'memory')) {
    const memory = known.find((place): place is MemoryPlace => place.kind === 'memory');
    const accumulator = known.find((place): place is RegisterPlace => place.kind === 'register' && place.name === 'rax');
    const bytes = memory?.bytes ?? accumulator?.bytes ?? STRINGS['b'];
    const at = (by: string): MemoryPlace => memoryAt(by, 0, bytes);
    const counter = isRepeated ? [moves('rcx')] : [];
    if (name === 'movs') return [{ to: at('rdi'), how: 'copy', from: [at('rsi')] }, moves('rdi'), moves('rsi'), ...counter];
    if (name === 'stos') return [{ to: at('rdi'), how: 'copy', from: [{ kind: 'register', name: 'rax', at: 0, bytes }] }, moves('rdi'), ...counter];
    if (name === 'lods') return [{ to: { kind: 'register', name: 'rax', at: 0, bytes }, how: 'copy', from: [at('rsi')] }, moves('rsi'), ...counter];
    return [{ to: at('rdi'), how: 'device', from: [whole('rdx')] }, moves('rdi'), ...counter];
  }
  if (/^(?:cmps|scas|outs)$/.test(name)) {
    const counter = isRepeated ? [moves('rcx')] : [];
    return [...(name === 'scas' ? [] : [moves('rsi')]), ...(name === 'outs' ? [] : [moves('rdi')]), ...counter];
  }
  if (/^loop/.test(name)) return [moves('rcx')];
  if (name === 'xchg' && target !== undefined && (second?.kind === 'register' || second?.kind === 'memory')) return [{ to: target, how: 'copy', from: [second] }, { to: second, how: 'copy', from: [target] }];
  if (name === 'cmpxchg' && target !== undefined) return [{ to: target, how: 'compute', from: inputs(whole('rax'), first, second) }, { to: whole('rax'), how: 'compute', from: inputs(whole('rax'), first) }];
  if (name === 'xadd' && target !== undefined && second?.kind === 'register') return [{ to: target, how: 'compute', from: inputs(first, second) }, { to: second, how: 'copy', from: [target] }];
  if (SILENT.test(name)) return [];
  if (target === undefined) return [];

  if (/^(?:movsx|movsxd)$/.test(name)) return [{ to: target, how: 'copy', from: inputs(second), isSigned: true }];
  if (/^mov(?:ss|sd|lps|lpd|q|d)$/.test(name) && target.kind === 'register' && target.name.startsWith('xmm') && second?.kind === 'register' && second.name.startsWith('xmm') && name !== 'movq') {
    return [{ to: { ...target, bytes: name === 'movss' ? 4 : 8 }, how: 'copy', from: inputs(second) }];
  }
  if (COPIES.test(name) || /^mov(?:ss|sd)$/.test(name)) {
    if (name === 'movbe') return [{ to: target, how: 'compute', from: inputs(second) }];
    return [{ to: target, how: 'copy', from: inputs(second) }];
  }
  if (/^cmov/.test(name)) return [{ to: target, how: 'copy', from: inputs(second), condition: name.slice(4) }];
  // Zero, whatever it was.
  const isSameTwice = target.kind === 'register' && second?.kind === 'register' && second.name === target.name && second.at === target.at;
  if (isSameTwice && /^(?:xor|sub|pxor|xorps|xorpd|psub[bwdq])$/.test(name)) return [{ to: target, how: 'copy', from: [{ kind: 'constant', value: 0n }] }];
  if (name === 'lea') {
    const terms = second?.kind === 'memory' ? second.terms.map((term): Place => (term.register === 'rip' ? { kind: 'constant', value: instruction.address + BigInt(instruction.length) } : whole(term.register))) : [];
    return [{ to: target, how: 'compute', from: [...terms, ...(second?.kind === 'memory' && second.displacement !== 0n ? [{ kind: 'constant' as const, value: second.displacement }] : [])] }];
  }
  if (name === 'imul' && operands.length === 3) return [{ to: target, how: 'compute', from: inputs(second, operands[2]) }];
  if (/^(?:bsf|bsr|tzcnt|lzcnt|popcnt)$/.test(name)) return [{ to: target, how: 'compute', from: inputs(second) }];
  if (/^set/.test(name)) return [{ to: target, how: 'compute', from: [FLAGS] }];
  if (COMPUTES.test(name)) return [{ to: target, how: 'compute', from: [...known, ...(READS_FLAGS.test(name) ? [FLAGS] : [])] }];
  // The rest of SSE computes its first operand from all of them.
  if (target.kind === 'register' && target.name.startsWith('xmm')) return [{ to: target, how: 'compute', from: known }];
  return [{ to: target, how: 'unknown', from: known }];
}

/** Intel SDM, volume 1, appendix B: does a condition hold with these flags? Undefined: no such condition. */
export function holds(condition: string, rflags: bigint): boolean | undefined {
  const flag = (bit: bigint): boolean => ((rflags >> bit) & 1n) === 1n;
  const [c, p, z, s, o] = [flag(0n), flag(2n), flag(6n), flag(7n), flag(11n)];
  const positive: Readonly<Record<string, boolean>> = { o, b: c, e: z, be: c || z, s, p, l: s !== o, le: z || s !== o };
  const negative: Readonly<Record<string, boolean>> = { no: !o, ae: !c, ne: !z, a: !(c || z), ns: !s, np: !p, ge: s === o, g: !(z || s !== o) };
  return positive[condition] ?? negative[condition];
}
