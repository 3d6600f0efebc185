/** What instructions write and from what, by their bytes. */
import { expect, test } from 'vitest';
import { type Effect, type Place, effectsOf, holds } from './def-use.ts';
import { disassemble } from './disassembler.ts';

function placeText(place: Place): string {
  if (place.kind === 'constant') return String(place.value);
  if (place.kind === 'register') return `${place.name}:${place.at}+${place.bytes}`;
  const terms = [...place.terms.map(({ register, scale }) => `${register}*${scale}`), String(place.displacement)];
  return `${place.segment ?? ''}[${terms.join(' ')}]:${place.bytes}`;
}
function told(...bytes: number[]): string[] {
  return effectsOf(disassemble(Uint8Array.from(bytes), 0x1000n, 64), 64).map(({ to, how, from, isSigned, condition }: Effect) => `${placeText(to)} ${how}${isSigned === true ? ' signed' : ''}${condition === undefined ? '' : ` if ${condition}`} ${from.map(placeText).join(', ')}`);
}

test.each([
  ['mov rax,rbx', [0x48, 0x89, 0xd8], ['rax:0+8 copy rbx:0+8']],
  ['mov ah,bl', [0x88, 0xdc], ['rax:1+1 copy rbx:0+1']],
  ['mov eax,[rdi+rcx*4-8]', [0x8b, 0x44, 0x8f, 0xf8], ['rax:0+4 copy [rdi*1 rcx*4 -8]:4']],
  ['mov rax,gs:0x28', [0x65, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0], ['rax:0+8 copy gs[40]:8']],
  ['mov [rip+0x10],al', [0x88, 0x05, 0x10, 0, 0, 0], ['[rip*1 16]:1 copy rax:0+1']],
  ['movzx edx,byte [rsi]', [0x0f, 0xb6, 0x16], ['rdx:0+4 copy [rsi*1 0]:1']],
  ['movsxd rax,ecx', [0x48, 0x63, 0xc1], ['rax:0+8 copy signed rcx:0+4']],
  ['add rax,rdx', [0x48, 0x01, 0xd0], ['rax:0+8 compute rax:0+8, rdx:0+8']],
  ['xor eax,eax', [0x31, 0xc0], ['rax:0+4 copy 0']],
  ['lea rax,[rbx+rcx*2+3]', [0x48, 0x8d, 0x44, 0x4b, 0x03], ['rax:0+8 compute rbx:0+8, rcx:0+8, 3']],
  ['cmp rax,1', [0x48, 0x83, 0xf8, 0x01], []],
  ['jne', [0x75, 0x00], []],
  ['push rbx', [0x53], ['[rsp*1 -8]:8 copy rbx:0+8', 'rsp:0+8 compute rsp:0+8']],
  ['pop r12', [0x41, 0x5c], ['r12:0+8 copy [rsp*1 0]:8', 'rsp:0+8 compute rsp:0+8']],
  ['call +0', [0xe8, 0, 0, 0, 0], ['[rsp*1 -8]:8 copy 4101', 'rsp:0+8 compute rsp:0+8']],
  ['xchg rax,rbx', [0x48, 0x93], ['rbx:0+8 copy rax:0+8', 'rax:0+8 copy rbx:0+8']],
  ['rep movsb', [0xf3, 0xa4], ['[rdi*1 0]:1 copy [rsi*1 0]:1', 'rdi:0+8 compute rdi:0+8', 'rsi:0+8 compute rsi:0+8', 'rcx:0+8 compute rcx:0+8']],
  ['stosq', [0x48, 0xab], ['[rdi*1 0]:8 copy rax:0+8', 'rdi:0+8 compute rdi:0+8']],
  ['in al,dx', [0xec], ['rax:0+1 device rdx:0+2']],
  ['cmove rax,rbx', [0x48, 0x0f, 0x44, 0xc3], ['rax:0+8 copy if e rbx:0+8']],
  ['cdqe', [0x48, 0x98], ['rax:0+8 copy signed rax:0+4']],
  ['div rcx', [0x48, 0xf7, 0xf1], ['rax:0+8 compute rax:0+8, rdx:0+8, rcx:0+8', 'rdx:0+8 compute rax:0+8, rdx:0+8, rcx:0+8']],
  ['movdqa xmm1,[rdi]', [0x66, 0x0f, 0x6f, 0x0f], ['xmm1:0+16 copy [rdi*1 0]:16']],
  ['rdtsc', [0x0f, 0x31], ['rax:0+8 machine ', 'rdx:0+8 machine ']],
])('%s', (_, bytes, expected) => expect(told(...bytes)).toEqual(expected));

test('conditions are those of the flags', () => {
  expect([holds('e', 0x40n), holds('ne', 0x40n), holds('l', 0x80n), holds('ge', 0x880n), holds('a', 0n), holds('be', 1n), holds('?', 0n)]).toEqual([true, false, true, true, true, true, undefined]);
});
