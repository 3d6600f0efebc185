/**
 * The opcode maps as data: Intel SDM, volume 2, appendix A (tables on for x87).
 *
 *     mnemonic operands flags
 *
 * In a mnemonic: `a/b/c` by operand size 16, 32, 64; `a\b\c` by address size; `*` takes w, d or q where the size is not that of the mode; `CC` a condition.
 *
 * Operands: E general register or memory, G ModRM.reg, R register of ModRM.rm, M memory only, Z register of the opcode, A accumulator, I immediate
 * (c: a byte sign-extended to the operand size, z: 32 bits at most), J branch target, O offset, S segment, C and D control and debug registers, V XMM,
 * W XMM or memory, U XMM of ModRM.rm, P, Q, N the same for MMX, H and K general register or memory of an element, T st(i), X and Y strings at rsi and rdi,
 * B [rbx], L far pointer. Sizes: b 8, w 16, d 32, q 64, x 128, t 80 bits; v operand size; y 32 or 64; n that of the mode; p far; m not told.
 *
 * Flags: !64 not in 64-bit mode, =64 only there; d64 64 bits there unless the prefix says 16, f64 64 bits always.
 * `#NAME` is a group; ` ~ ` stands between memory and register forms; `;` between no prefix, 66, F3, F2.
 */

export const CONDITION_NAMES = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'] as const;

/** 8 entries a line. */
function map(text: string): readonly string[] {
  return text.trim().split('\n').flatMap((line) => line.split('|').map((entry) => entry.trim())); // prettier-ignore
}

export const MAP_ONE: readonly string[] = map(`
add Eb,Gb      | add Ev,Gv      | add Gb,Eb      | add Gv,Ev      | add Ab,Ib      | add Av,Iz      | push es !64    | pop es !64
or Eb,Gb       | or Ev,Gv       | or Gb,Eb       | or Gv,Ev       | or Ab,Ib       | or Av,Iz       | push cs !64    |
adc Eb,Gb      | adc Ev,Gv      | adc Gb,Eb      | adc Gv,Ev      | adc Ab,Ib      | adc Av,Iz      | push ss !64    | pop ss !64
sbb Eb,Gb      | sbb Ev,Gv      | sbb Gb,Eb      | sbb Gv,Ev      | sbb Ab,Ib      | sbb Av,Iz      | push ds !64    | pop ds !64
and Eb,Gb      | and Ev,Gv      | and Gb,Eb      | and Gv,Ev      | and Ab,Ib      | and Av,Iz      |                | daa !64
sub Eb,Gb      | sub Ev,Gv      | sub Gb,Eb      | sub Gv,Ev      | sub Ab,Ib      | sub Av,Iz      |                | das !64
xor Eb,Gb      | xor Ev,Gv      | xor Gb,Eb      | xor Gv,Ev      | xor Ab,Ib      | xor Av,Iz      |                | aaa !64
cmp Eb,Gb      | cmp Ev,Gv      | cmp Gb,Eb      | cmp Gv,Ev      | cmp Ab,Ib      | cmp Av,Iz      |                | aas !64
inc Zv         | inc Zv         | inc Zv         | inc Zv         | inc Zv         | inc Zv         | inc Zv         | inc Zv
dec Zv         | dec Zv         | dec Zv         | dec Zv         | dec Zv         | dec Zv         | dec Zv         | dec Zv
push Zv d64    | push Zv d64    | push Zv d64    | push Zv d64    | push Zv d64    | push Zv d64    | push Zv d64    | push Zv d64
pop Zv d64     | pop Zv d64     | pop Zv d64     | pop Zv d64     | pop Zv d64     | pop Zv d64     | pop Zv d64     | pop Zv d64
pusha* !64     | popa* !64      | #62            | #63            |                |                |                |
push Iz d64    | imul Gv,Ev,Iz  | push Ic d64    | imul Gv,Ev,Ic  | ins Yb,dx rep  | ins Yz,dx rep  | outs dx,Xb rep | outs dx,Xz rep
jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd
jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd | jCC Jb f64 hint bnd
#1 Eb,Ib       | #1 Ev,Iz       | #82            | #1 Ev,Ic       | test Eb,Gb     | test Ev,Gv     | xchg Eb,Gb     | xchg Ev,Gv
mov Eb,Gb      | mov Ev,Gv      | mov Gb,Eb      | mov Gv,Ev      | mov Es,S       | lea Gv,Mm      | mov S,Es       | #1a
#90            | xchg Zv,Av     | xchg Zv,Av     | xchg Zv,Av     | xchg Zv,Av     | xchg Zv,Av     | xchg Zv,Av     | xchg Zv,Av
cbw/cwde/cdqe  | cwd/cdq/cqo    | call L !64     | fwait          | pushf* d64     | popf* d64      | sahf           | lahf
#a0 Ab,O       | #a0 Av,O       | #a0 O,Ab       | #a0 O,Av       | movs Yb,Xb rep | movs Yv,Xv rep | cmps Xb,Yb repz | cmps Xv,Yv repz
test Ab,Ib     | test Av,Iz     | stos Yb,Ab rep | stos Yv,Av rep | lods Ab,Xb rep | lods Av,Xv rep | scas Ab,Yb repz | scas Av,Yv repz
mov Zb,Ib      | mov Zb,Ib      | mov Zb,Ib      | mov Zb,Ib      | mov Zb,Ib      | mov Zb,Ib      | mov Zb,Ib      | mov Zb,Ib
#b8            | #b8            | #b8            | #b8            | #b8            | #b8            | #b8            | #b8
#2 Eb,Ib       | #2 Ev,Ib       | ret* Iw f64 bnd | ret* f64 bnd  | #c4            | #c5            | #11b           | #11v
enter* Iw,Ib d64 | leave* d64   | retf* Iw       | retf*          | int3           | int Ib         | into !64       | iret*
#2 Eb,1        | #2 Ev,1        | #2 Eb,cl       | #2 Ev,cl       | aam Ib !64     | aad Ib !64     |                | xlat B
#x87           | #x87           | #x87           | #x87           | #x87           | #x87           | #x87           | #x87
loopne Jb f64  | loope Jb f64   | loop Jb f64    | jcxz\\jecxz\\jrcxz Jb f64 | in Ab,Ib | in Az,Ib    | out Ib,Ab      | out Ib,Az
call Jz f64 bnd | jmp Jz f64 bnd | jmp L !64     | jmp Jb f64 bnd | in Ab,dx       | in Az,dx       | out dx,Ab      | out dx,Az
               | int1           |                |                | hlt            | cmc            | #3b            | #3v
clc            | stc            | cli            | sti            | cld            | std            | #4             | #5
`);

/** 8 entries a group, by ModRM.reg. */
export const GROUPS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    '1': 'add | or | adc | sbb | and | sub | xor | cmp',
    '82': 'add Eb,Ib !64 | or Eb,Ib !64 | adc Eb,Ib !64 | sbb Eb,Ib !64 | and Eb,Ib !64 | sub Eb,Ib !64 | xor Eb,Ib !64 | cmp Eb,Ib !64',
    '1a': 'pop Ev d64 | | | | | | |',
    '2': 'rol | ror | rcl | rcr | shl | shr | shl | sar',
    '3b': 'test Eb,Ib | test Eb,Ib | not Eb | neg Eb | mul Eb | imul Eb | div Eb | idiv Eb',
    '3v': 'test Ev,Iz | test Ev,Iz | not Ev | neg Ev | mul Ev | imul Ev | div Ev | idiv Ev',
    '4': 'inc Eb | dec Eb | | | | | |',
    '5': 'inc Ev | dec Ev | call Ev f64 bnd track | call Mp | jmp Ev f64 bnd track | jmp Mp | push Ev d64 |',
    '6': 'sldt Es | str Es | lldt Ew | ltr Ew | verr Ew | verw Ew | |',
    '7': 'sgdt Mm ~ @7.0 | sidt Mm ~ @7.1 | lgdt Mm ~ @7.2 | lidt Mm ~ @7.3 | smsw Es | ~ @7.5 | lmsw Ew | invlpg Mb ~ @7.7',
    '8': '| | | | bt Ev,Ib | bts Ev,Ib | btr Ev,Ib | btc Ev,Ib',
    '9': '| #9.1 ~ | | xrstors/xrstors/xrstors64 Mm ~ | xsavec/xsavec/xsavec64 Mm ~ | xsaves/xsaves/xsaves64 Mm ~ | vmptrld Mq ~ rdrand Rv ; vmclear Mq ~ rdrand Rv ; vmxon Mq ~ | vmptrst Mq ~ rdseed Rv ; ~ rdseed Rv ; ~ rdpid Rn',
    '9.1': '| cmpxchg8b/cmpxchg8b/cmpxchg16b M9 | | | | | |',
    '11b': 'mov Eb,Ib | | | | | | | ~ @11b',
    '11v': 'mov Ev,Iz | | | | | | | ~ @11v',
    '12': '| | ~ psrlw N,Ib ; ~ psrlw U,Ib | | ~ psraw N,Ib ; ~ psraw U,Ib | | ~ psllw N,Ib ; ~ psllw U,Ib |',
    '13': '| | ~ psrld N,Ib ; ~ psrld U,Ib | | ~ psrad N,Ib ; ~ psrad U,Ib | | ~ pslld N,Ib ; ~ pslld U,Ib |',
    '14': '| | ~ psrlq N,Ib ; ~ psrlq U,Ib | ; ~ psrldq U,Ib | | | ~ psllq N,Ib ; ~ psllq U,Ib | ; ~ pslldq U,Ib',
    '15': 'fxsave/fxsave/fxsave64 Mm ~ ; ; ~ rdfsbase Ry =64 | fxrstor/fxrstor/fxrstor64 Mm ~ ; ; ~ rdgsbase Ry =64 | ldmxcsr Md ~ ; ; ~ wrfsbase Ry =64 | stmxcsr Md ~ ; ; ~ wrgsbase Ry =64 | xsave/xsave/xsave64 Mm ~ | xrstor/xrstor/xrstor64 Mm ~ @15.5 | xsaveopt/xsaveopt/xsaveopt64 Mm ~ @15.6 ; clwb Mb ~ tpause Rd | clflush Mb ~ @15.7 ; clflushopt Mb ~',
    '16': 'prefetchnta Mb ~ nop Ev | prefetcht0 Mb ~ nop Ev | prefetcht1 Mb ~ nop Ev | prefetcht2 Mb ~ nop Ev | nop Ev | nop Ev | nop Ev | nop Ev',
    '0d': 'prefetch Mb | prefetchw Mb | prefetchwt1 Mb | prefetch Mb | prefetch Mb | prefetch Mb | prefetch Mb | prefetch Mb',
    '1e': 'nop Ev | nop Ev ; nop Ev ; nop Ev ~ rdsspd/rdsspd/rdsspq Ry ; nop Ev | nop Ev | nop Ev | nop Ev | nop Ev | nop Ev | nop Ev ; nop Ev ; nop Ev ~ @1e.7 ; nop Ev',
  }).map(([name, text]) => [name, text.split('|').map((entry) => entry.trim())]),
); // prettier-ignore

/** By ModRM.rm. */
export const FIXED: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    '7.0': 'enclv | vmcall | vmlaunch | vmresume | vmxoff | pconfig | |',
    '7.1': 'monitor | mwait | clac | stac | | | | encls',
    '7.2': 'xgetbv | xsetbv | | | vmfunc | xend | xtest | enclu',
    '7.3': 'vmrun | vmmcall ; vmmcall ; vmgexit ; vmgexit | vmload | vmsave | stgi | clgi | skinit | invlpga',
    '7.5': 'serialize ; ; setssbsy | | ; ; saveprevssp | | | | rdpkru | wrpkru',
    '7.7': 'swapgs =64 | rdtscp | monitorx | mwaitx | clzero | | |',
    '11b': 'xabort Ib | | | | | | |',
    '11v': 'xbegin Jz f64 | | | | | | |',
    '15.5': 'lfence | lfence | lfence | lfence | lfence | lfence | lfence | lfence',
    '15.6': 'mfence | mfence | mfence | mfence | mfence | mfence | mfence | mfence',
    '15.7': 'sfence | sfence | sfence | sfence | sfence | sfence | sfence | sfence',
    '1e.7': 'nop Ev | nop Ev | endbr64 | endbr32 | nop Ev | nop Ev | nop Ev | nop Ev',
  }).map(([name, text]) => [name, text.split('|').map((entry) => entry.trim())]),
);

function sparse(text: string): ReadonlyMap<number, string> {
  const entries = new Map<number, string>();
  for (const line of text.trim().split('\n')) {
    const match = /^([0-9a-f]{2})(?:-([0-9a-f]{2}))?\s+(.*?)\s*$/.exec(line.trim());
    if (match === null) throw new Error(`a line of an opcode table is wrong: ${line}`);
    const first = parseInt(match[1], 16);
    for (let opcode = first; opcode <= parseInt(match[2] ?? match[1], 16); opcode++) entries.set(opcode, match[3]);
  }
  return entries;
}

/** Twins for MMX and XMM: `name P,Qq ; name V,Wx`. */
function twins(first: number, names: string, memory = 'q'): string {
  return names
    .trim()
    .split(/\s+/)
    .map((name, i) => (name === '-' ? '' : `${(first + i).toString(16).padStart(2, '0')} ${name} P,Q${memory} ; ${name} V,Wx`))
    .filter((line) => line !== '')
    .join('\n');
}
/** XMM only, with 66. */
function wide(first: number, names: string, memory = 'x'): string {
  return names
    .trim()
    .split(/\s+/)
    .map((name, i) => (name === '-' ? '' : `${(first + i).toString(16).padStart(2, '0')} ; ${name} V,W${memory}`))
    .filter((line) => line !== '')
    .join('\n');
}
/** Of a packed element to a longer one: six instructions, and what each reads of memory. */
function extensions(first: number, name: string): string {
  return [['bw', 'q'], ['bd', 'd'], ['bq', 'w'], ['wd', 'q'], ['wq', 'd'], ['dq', 'q']].map(([lengths, memory], i) => wide(first + i, `${name}${lengths}`, memory)).join('\n');
}
/** ps, pd, ss, sd. */
function four(first: number, names: string): string {
  return names
    .trim()
    .split(/\s+/)
    .map((name, i) => `${(first + i).toString(16)} ${name}ps V,Wx ; ${name}pd V,Wx ; ${name}ss V,Wd ; ${name}sd V,Wq`)
    .join('\n');
}

export const MAP_0F: ReadonlyMap<number, string> = sparse(`
00    #6
01    #7
02    lar Gv,Es
03    lsl Gv,Es
05    syscall
06    clts
07    sysretd/sysretd/sysretq
08    invd
09    wbinvd
0b    ud2
0d    #0d
0e    femms
10    movups V,Wx ; movupd V,Wx ; movss V,Wd ; movsd V,Wq
11    movups Wx,V ; movupd Wx,V ; movss Wd,V ; movsd Wq,V
12    movlps V,Mq ~ movhlps V,U ; movlpd V,Mq ; movsldup V,Wx ; movddup V,Wq
13    movlps Mq,V ; movlpd Mq,V
14    unpcklps V,Wx ; unpcklpd V,Wx
15    unpckhps V,Wx ; unpckhpd V,Wx
16    movhps V,Mq ~ movlhps V,U ; movhpd V,Mq ; movshdup V,Wx
17    movhps Mq,V ; movhpd Mq,V
18    #16
19-1d nop Ev
1e    #1e
1f    nop Ev
20    mov Rn,C
21    mov Rn,D
22    mov C,Rn
23    mov D,Rn
28    movaps V,Wx ; movapd V,Wx
29    movaps Wx,V ; movapd Wx,V
2a    cvtpi2ps V,Qq ; cvtpi2pd V,Qq ; cvtsi2ss V,Ey ; cvtsi2sd V,Ey
2b    movntps Mx,V ; movntpd Mx,V
2c    cvttps2pi P,Wq ; cvttpd2pi P,Wx ; cvttss2si Gy,Wd ; cvttsd2si Gy,Wq
2d    cvtps2pi P,Wq ; cvtpd2pi P,Wx ; cvtss2si Gy,Wd ; cvtsd2si Gy,Wq
2e    ucomiss V,Wd ; ucomisd V,Wq
2f    comiss V,Wd ; comisd V,Wq
30    wrmsr
31    rdtsc
32    rdmsr
33    rdpmc
34    sysenter
35    sysexitd/sysexitd/sysexitq
37    getsec
40-4f cmovCC Gv,Ev
50    movmskps Gy,U ; movmskpd Gy,U
${four(0x51, 'sqrt')}
52    rsqrtps V,Wx ; ; rsqrtss V,Wd
53    rcpps V,Wx ; ; rcpss V,Wd
54    andps V,Wx ; andpd V,Wx
55    andnps V,Wx ; andnpd V,Wx
56    orps V,Wx ; orpd V,Wx
57    xorps V,Wx ; xorpd V,Wx
${four(0x58, 'add mul')}
5a    cvtps2pd V,Wq ; cvtpd2ps V,Wx ; cvtss2sd V,Wd ; cvtsd2ss V,Wq
5b    cvtdq2ps V,Wx ; cvtps2dq V,Wx ; cvttps2dq V,Wx
${four(0x5c, 'sub min div max')}
${twins(0x60, 'punpcklbw punpcklwd punpckldq', 'd')}
${twins(0x63, 'packsswb pcmpgtb pcmpgtw pcmpgtd packuswb punpckhbw punpckhwd punpckhdq packssdw')}
${wide(0x6c, 'punpcklqdq punpckhqdq')}
6e    movd/movd/movq P,Ey ; movd/movd/movq V,Ey
6f    movq P,Qq ; movdqa V,Wx ; movdqu V,Wx
70    pshufw P,Qq,Ib ; pshufd V,Wx,Ib ; pshufhw V,Wx,Ib ; pshuflw V,Wx,Ib
71    #12
72    #13
73    #14
${twins(0x74, 'pcmpeqb pcmpeqw pcmpeqd')}
77    emms ;
78    vmread En,Gn
79    vmwrite Gn,En
7c    ; haddpd V,Wx ; ; haddps V,Wx
7d    ; hsubpd V,Wx ; ; hsubps V,Wx
7e    movd/movd/movq Ey,P ; movd/movd/movq Ey,V ; movq V,Wq
7f    movq Qq,P ; movdqa Wx,V ; movdqu Wx,V
80-8f jCC Jz f64 hint bnd
90-9f setCC Eb
a0    push* fs d64
a1    pop* fs d64
a2    cpuid
a3    bt Ev,Gv
a4    shld Ev,Gv,Ib
a5    shld Ev,Gv,cl
a8    push* gs d64
a9    pop* gs d64
aa    rsm
ab    bts Ev,Gv
ac    shrd Ev,Gv,Ib
ad    shrd Ev,Gv,cl
ae    #15
af    imul Gv,Ev
b0    cmpxchg Eb,Gb
b1    cmpxchg Ev,Gv
b2    lss Gv,Mp
b3    btr Ev,Gv
b4    lfs Gv,Mp
b5    lgs Gv,Mp
b6    movzx Gv,Eb
b7    movzx Gv,Ew
b8    ; ; popcnt Gv,Ev
b9    ud1 Gv,Ev
ba    #8
bb    btc Ev,Gv
bc    bsf Gv,Ev ; bsf Gv,Ev ; tzcnt Gv,Ev ; bsf Gv,Ev
bd    bsr Gv,Ev ; bsr Gv,Ev ; lzcnt Gv,Ev ; bsr Gv,Ev
be    movsx Gv,Eb
bf    movsx Gv,Ew
c0    xadd Eb,Gb
c1    xadd Ev,Gv
c2    cmpps V,Wx,Ib cmp ; cmppd V,Wx,Ib cmp ; cmpss V,Wd,Ib cmp ; cmpsd V,Wq,Ib cmp
c3    movnti My,Gy ;
c4    pinsrw P,Kw,Ib ; pinsrw V,Kw,Ib
c5    pextrw Gy,N,Ib ; pextrw Gy,U,Ib
c6    shufps V,Wx,Ib ; shufpd V,Wx,Ib
c7    #9
c8-cf bswap Zv
d0    ; addsubpd V,Wx ; ; addsubps V,Wx
${twins(0xd1, 'psrlw psrld psrlq paddq pmullw')}
d6    ; movq Wq,V ; movq2dq V,N ; movdq2q P,U
d7    pmovmskb Gy,N ; pmovmskb Gy,U
${twins(0xd8, 'psubusb psubusw pminub pand paddusb paddusw pmaxub pandn pavgb psraw psrad pavgw pmulhuw pmulhw')}
e6    ; cvttpd2dq V,Wx ; cvtdq2pd V,Wq ; cvtpd2dq V,Wx
e7    movntq Mq,P ; movntdq Mx,V
${twins(0xe8, 'psubsb psubsw pminsw por paddsb paddsw pmaxsw pxor')}
f0    ; ; ; lddqu V,Mm
${twins(0xf1, 'psllw pslld psllq pmuludq pmaddwd psadbw')}
f7    maskmovq P,N ; maskmovdqu V,U
${twins(0xf8, 'psubb psubw psubd psubq paddb paddw paddd')}
ff    ud0 Gv,Ev
`);

export const MAP_0F38: ReadonlyMap<number, string> = sparse(`
${twins(0x00, 'pshufb phaddw phaddd phaddsw pmaddubsw phsubw phsubd phsubsw psignb psignw psignd pmulhrsw')}
10    ; pblendvb V,Wx,xmm0
14    ; blendvps V,Wx,xmm0
15    ; blendvpd V,Wx,xmm0
${wide(0x17, 'ptest')}
${twins(0x1c, 'pabsb pabsw pabsd')}
${extensions(0x20, 'pmovsx')}
${wide(0x28, 'pmuldq pcmpeqq')}
2a    ; movntdqa V,Mx
${wide(0x2b, 'packusdw')}
${extensions(0x30, 'pmovzx')}
${wide(0x37, 'pcmpgtq pminsb pminsd pminuw pminud pmaxsb pmaxsd pmaxuw pmaxud pmulld phminposuw')}
80    ; invept Gn,Mx
81    ; invvpid Gn,Mx
82    ; invpcid Gn,Mm
c8    sha1nexte V,Wx ;
c9    sha1msg1 V,Wx ;
ca    sha1msg2 V,Wx ;
cb    sha256rnds2 V,Wx,xmm0 ;
cc    sha256msg1 V,Wx ;
cd    sha256msg2 V,Wx ;
${wide(0xdb, 'aesimc aesenc aesenclast aesdec aesdeclast')}
f0    movbe Gv,Mv ; movbe Gv,Mv ; ; crc32 Gy,Eb
f1    movbe Mv,Gv ; movbe Mv,Gv ; ; crc32 Gy,Ev
f6    ; adcx Gy,Ey ; adox Gy,Ey
`);

export const MAP_0F3A: ReadonlyMap<number, string> = sparse(`
08    ; roundps V,Wx,Ib
09    ; roundpd V,Wx,Ib
0a    ; roundss V,Wd,Ib
0b    ; roundsd V,Wq,Ib
0c    ; blendps V,Wx,Ib
0d    ; blendpd V,Wx,Ib
0e    ; pblendw V,Wx,Ib
0f    palignr P,Qq,Ib ; palignr V,Wx,Ib
14    ; pextrb Kb,V,Ib
15    ; pextrw Kw,V,Ib
16    ; pextrd/pextrd/pextrq Ey,V,Ib
17    ; extractps Kd,V,Ib
20    ; pinsrb V,Kb,Ib
21    ; insertps V,Wd,Ib
22    ; pinsrd/pinsrd/pinsrq V,Ey,Ib
40    ; dpps V,Wx,Ib
41    ; dppd V,Wx,Ib
42    ; mpsadbw V,Wx,Ib
44    ; pclmulqdq V,Wx,Ib
60    ; pcmpestrm V,Wx,Ib
61    ; pcmpestri V,Wx,Ib
62    ; pcmpistrm V,Wx,Ib
63    ; pcmpistri V,Wx,Ib
cc    sha1rnds4 V,Wx,Ib ; ;
df    ; aeskeygenassist V,Wx,Ib
`);

const rows = (text: string): readonly (readonly string[])[] => text.trim().split('\n').map((line) => line.split('|').map((entry) => entry.trim())); // prettier-ignore

/** D8 to DF, by ModRM.reg. */
export const X87_MEMORY = rows(`
fadd Md    | fmul Md      | fcom Md     | fcomp Md    | fsub Md    | fsubr Md  | fdiv Md     | fdivr Md
fld Md     |              | fst Md      | fstp Md     | fldenv Mm | fldcw Mw  | fnstenv Mm | fnstcw Mw
fiadd Md   | fimul Md     | ficom Md    | ficomp Md   | fisub Md   | fisubr Md | fidiv Md    | fidivr Md
fild Md    | fisttp Md    | fist Md     | fistp Md    |            | fld Mt    |             | fstp Mt
fadd Mq    | fmul Mq      | fcom Mq     | fcomp Mq    | fsub Mq    | fsubr Mq  | fdiv Mq     | fdivr Mq
fld Mq     | fisttp Mq    | fst Mq      | fstp Mq     | frstor Mm |           | fnsave Mm  | fnstsw Mw
fiadd Mw   | fimul Mw     | ficom Mw    | ficomp Mw   | fisub Mw   | fisubr Mw | fidiv Mw    | fidivr Mw
fild Mw    | fisttp Mw    | fist Mw     | fistp Mw    | fbld Mt    | fild Mq   | fbstp Mt    | fistp Mq
`);

/** A line an opcode; `/` between ModRM.reg, `|` between ModRM.rm. */
export const X87_REGISTER = `
fadd st,T / fmul st,T / fcom T / fcomp T / fsub st,T / fsubr st,T / fdiv st,T / fdivr st,T
fld T / fxch T / fnop | | | | | | | / fstp T / fchs | fabs | | | ftst | fxam | | / fld1 | fldl2t | fldl2e | fldpi | fldlg2 | fldln2 | fldz | / f2xm1 | fyl2x | fptan | fpatan | fxtract | fprem1 | fdecstp | fincstp / fprem | fyl2xp1 | fsqrt | fsincos | frndint | fscale | fsin | fcos
fcmovb st,T / fcmove st,T / fcmovbe st,T / fcmovu st,T / / | fucompp | | | | | | / /
fcmovnb st,T / fcmovne st,T / fcmovnbe st,T / fcmovnu st,T / fneni | fndisi | fnclex | fninit | fnsetpm | frstpm | | / fucomi st,T / fcomi st,T /
fadd T,st / fmul T,st / fcom2 T / fcomp3 T / fsubr T,st / fsub T,st / fdivr T,st / fdiv T,st
ffree T / fxch4 T / fst T / fstp T / fucom T / fucomp T / /
faddp T,st / fmulp T,st / fcomp5 T / | fcompp | | | | | | / fsubrp T,st / fsubp T,st / fdivrp T,st / fdivp T,st
ffreep T / fxch7 T / fstp8 T / fstp9 T / fnstsw ax | | | | | | | / fucomip st,T / fcomip st,T /
`
  .trim()
  .split('\n')
  .map((line) => line.split('/').map((entry) => entry.trim()));
