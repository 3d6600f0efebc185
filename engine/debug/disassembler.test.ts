import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openRecording } from '../../server/gdb/testing.ts';
import { ownPackage } from '../../server/store/package-root.ts';
import { hasObjdump, objdump } from '../../test/gdb/objdump.ts';
import { BAD, type CodeBits, INSTRUCTION_BYTES_MAX, disassemble, textOf } from './disassembler.ts';
import { readLinear, readRegister } from './inspect.ts';

const decode = (hex: string, bits: CodeBits = 64, address = 0x1000n): string => textOf(disassemble(Buffer.from(hex.replaceAll(' ', ''), 'hex'), address, bits)).replace(/\s+/g, ' ');

// Written by hand from the SDM; GNU as gives the same bytes.
it.each<readonly [CodeBits, string, string]>([
  [64, '48 89 e5', 'mov rbp,rsp'],
  [64, '40 88 f1', 'mov cl,sil'],
  [64, '88 f1', 'mov cl,dh'],
  [64, '65 48 8b 04 25 28 00 00 00', 'mov rax,QWORD PTR gs:0x28'],
  [64, '48 8b 05 10 00 00 00', 'mov rax,QWORD PTR [rip+0x10]'],
  [64, '48 8b 05 f0 ff ff ff', 'mov rax,QWORD PTR [rip-0x10]'],
  [64, '48 83 e4 f0', 'and rsp,0xfffffffffffffff0'],
  [64, '83 e4 f0', 'and esp,0xfffffff0'],
  [64, '48 b8 88 77 66 55 44 33 22 11', 'movabs rax,0x1122334455667788'],
  [64, '63 c8', 'movsxd ecx,eax'],
  [32, '63 c8', 'arpl ax,cx'],
  [32, '48', 'dec eax'],
  [16, '8b 40 fe', 'mov ax,WORD PTR [bx+si-0x2]'],
  [16, '66 67 8b 04 8d 00 00 00 00', 'mov eax,DWORD PTR [ecx*4+0x0]'],
  [16, 'ea 5b e0 00 f0', 'jmp 0xf000:0xe05b'],
  [32, 'a1 00 10 00 00', 'mov eax,ds:0x1000'],
  [64, 'f3 48 ab', 'rep stos QWORD PTR es:[rdi],rax'],
  [64, 'f2 ae', 'repnz scas al,BYTE PTR es:[rdi]'],
  [64, 'f0 48 0f b1 0e', 'lock cmpxchg QWORD PTR [rsi],rcx'],
  [64, 'f0 48 0f c7 0f', 'lock cmpxchg16b OWORD PTR [rdi]'],
  [64, 'e8 fb ff ff ff', 'call 0x1000'],
  [64, '0f 84 fa ff ff ff', 'je 0x1000'],
  [64, 'e3 fe', 'jrcxz 0x1000'],
  [64, '90', 'nop'],
  [64, 'f3 90', 'pause'],
  [64, '41 90', 'xchg r8d,eax'],
  [64, '66 2e 0f 1f 84 00 00 00 00 00', 'cs nop WORD PTR [rax+rax*1+0x0]'],
  [64, 'f3 0f 1e fa', 'endbr64'],
  [64, '0f 01 f8', 'swapgs'],
  [64, '48 cf', 'iretq'],
  [64, '48 0f 07', 'sysretq'],
  [64, '0f 22 d8', 'mov cr3,rax'],
  [64, 'd9 c9', 'fxch st(1)'],
  [64, 'db 6d f0', 'fld TBYTE PTR [rbp-0x10]'],
  [64, 'd8 c1', 'fadd st,st(1)'],
  [64, 'de c1', 'faddp st(1),st'],
  [64, '0f 6f 06', 'movq mm0,QWORD PTR [rsi]'],
  [64, '66 0f 6f 06', 'movdqa xmm0,XMMWORD PTR [rsi]'],
  [64, 'f2 44 0f 10 07', 'movsd xmm8,QWORD PTR [rdi]'],
  [64, '0f c2 c1 01', 'cmpltps xmm0,xmm1'],
  [64, '66 0f 3a 63 c1 0c', 'pcmpistri xmm0,xmm1,0xc'],
  [64, 'f2 48 0f 38 f1 c2', 'crc32 rax,rdx'],
  [64, 'c5 f8 77', '(avx)'],
  [64, '06', BAD],
  [64, '0f 04', BAD],
  [64, '48', BAD],
  [64, '66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90', BAD],
])('%i bits: %s is %s', (bits, hex, text) => {
  expect(decode(hex, bits)).toBe(text);
});

it('tells where an instruction leads, and what it refers to', () => {
  const one = (hex: string): ReturnType<typeof disassemble> => disassemble(Buffer.from(hex, 'hex'), 0xffff_ffff_8100_0000n, 64);
  expect(one('e8fbffffff')).toMatchObject({ flow: 'call', target: 0xffff_ffff_8100_0000n, length: 5 });
  expect(one('ff10')).toMatchObject({ flow: 'call', target: undefined });
  expect(one('74fe')).toMatchObject({ flow: 'branch', target: 0xffff_ffff_8100_0000n });
  expect(one('c3')).toMatchObject({ flow: 'return' });
  expect(one('0f05')).toMatchObject({ flow: 'trap' });
  expect(one('488b0500000000')).toMatchObject({ flow: 'next', reference: 0xffff_ffff_8100_0007n });
  expect(one('488b042500100081')).toMatchObject({ reference: 0xffff_ffff_8100_1000n });
});

it('whatever the bytes are, there is an answer of 1 to 15 bytes, and bytes behind it change nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.constantFrom<CodeBits[]>(16, 32, 64), fc.uint8Array({ minLength: 1, maxLength: 8 }), (bytes, bits, more) => {
      const { length, mnemonic } = disassemble(bytes, 0x7000n, bits);
      expect(length).toBeGreaterThanOrEqual(1);
      expect(length).toBeLessThanOrEqual(INSTRUCTION_BYTES_MAX);
      if (mnemonic === BAD) expect(length).toBe(1);
      else expect(textOf(disassemble(Uint8Array.from([...bytes, ...more]), 0x7000n, bits))).toBe(textOf(disassemble(bytes, 0x7000n, bits)));
    }),
    { numRuns: 20_000 },
  );
});

it('the CPU goes on where it says, 20 000 times', () => {
  const travel = openRecording();
  travel.seekMark('work fork');
  let straight = 0;
  for (let i = 0; i < 20_000; i++) {
    const { machine } = travel;
    const rip = readRegister(machine, 'rip')!;
    const { length, flow, mnemonic } = disassemble(readLinear(machine, rip, INSTRUCTION_BYTES_MAX), rip, 64);
    expect(mnemonic).not.toBe(BAD);
    travel.step();
    const next = readRegister(machine, 'rip')!;
    // Interrupts and faults lead elsewhere; iterations of a string instruction stay where they are.
    if (next === rip + BigInt(length)) straight++;
    else if (flow === 'next' && next !== rip) expect(next - rip > 15n || next < rip, `${mnemonic} of ${length} bytes, then 0x${next.toString(16)}`).toBe(true);
  }
  expect(straight).toBeGreaterThan(10_000);
});

const IMAGES = ['lab-kernel.elf', 'bug-lost-update.elf'];
it.runIf(hasObjdump)('GNU objdump reads all code of the lab\'s kernels the same', () => {
  let count = 0;
  const differences: string[] = [];
  for (const image of IMAGES) {
    for (const { address, bytes, text } of objdump([join(ownPackage().root, 'engine', 'guests', 'images', image)])) {
      count++;
      const own = disassemble(bytes, address, 64);
      if (textOf(own).replace(/\s+/g, ' ') !== text || own.length !== bytes.length) differences.push(`${Buffer.from(bytes).toString('hex')} at 0x${address.toString(16)}: ${textOf(own)}, by objdump ${text}`);
    }
  }
  expect(differences).toEqual([]);
  expect(count).toBeGreaterThan(10_000);
});
