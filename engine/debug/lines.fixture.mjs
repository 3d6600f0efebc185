/**
 * Makes lines.fixture.json: what addr2line of binutils says of the kernel in traces/lab-kernel.cvlog, and of small programs in the versions of DWARF.
 *
 *     npm run build && node engine/debug/lines.fixture.mjs        needs gcc with -m32 (gcc-multilib) and binutils
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';

const { LogReader } = await import(new URL('../../dist/engine/log/reader.js', import.meta.url));
const { MemorySource } = await import(new URL('../../dist/engine/log/storage.js', import.meta.url));

const SOURCE = `
static volatile int sink;
static inline __attribute__((always_inline)) int square(int x)
{
	return x * x + sink;
}
static inline __attribute__((always_inline)) int cube(int x)
{
	int y = square(x);
	if (y > 100)
		return y - square(y);
	return x * y;
}
int FUNCTION(int a)
{
	int sum = 0;
	for (int i = 0; i < a; i++)
		sum += cube(i);
	return sum;
}
__attribute__((noreturn)) void START(void)
{
	sink = FUNCTION(3) + cube(sink);
	for (;;)
		sink++;
}
`;
const FLAGS = '-O2 -g -ffreestanding -nostdlib -static -no-pie -fno-asynchronous-unwind-tables -fno-stack-protector -fcf-protection=none -Wl,--build-id=none'.split(' ');
const VERSIONS = ['-gdwarf-2', '-gdwarf-3', '-gdwarf-4 -gdwarf64', '-gdwarf-5', '-gdwarf-5 -m32'];

const folder = mkdtempSync(join(tmpdir(), 'lines-fixture-'));
const run = (program, args, input) => execFileSync(program, args, { cwd: folder, input, encoding: 'utf8', maxBuffer: 1 << 28 });

/** Every `step` bytes of the code above `from`. */
function rowsOf(elf, step, from) {
  const addresses = [];
  for (const [, at, size] of run('readelf', ['-SW', elf]).matchAll(/PROGBITS\s+([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+) \d+\s+AX/g)) {
    for (let offset = 0; offset < parseInt(size, 16); offset += step) if (BigInt(`0x${at}`) >= from) addresses.push(`0x${(BigInt(`0x${at}`) + BigInt(offset)).toString(16)}`);
  }
  const answers = run('addr2line', ['-a', '-i', '-f', '-e', elf], `${addresses.join('\n')}\n`).split(/^0x[0-9a-f]+\n/m).slice(1);
  return answers.map((text, i) => {
    const lines = text.trim().replaceAll(/ \(discriminator \d+\)/g, '').split('\n');
    return [addresses[i], lines.flatMap((line, at) => (at % 2 === 0 ? [`${line} ${lines[at + 1]}`] : [])).join(' < ')];
  });
}

try {
  const reader = LogReader.open(new MemorySource(new Uint8Array(readFileSync(new URL('../../traces/lab-kernel.cvlog', import.meta.url)))));
  const { sha256 } = reader.header.images.find(({ name }) => name === 'kernel');
  const kernel = reader.image(sha256);
  if (createHash('sha256').update(kernel).digest('hex') !== sha256) throw new Error('the image in the recording is damaged');
  writeFileSync(join(folder, 'kernel.elf'), kernel);
  writeFileSync(join(folder, 'one.c'), SOURCE.replaceAll('FUNCTION', 'warm').replaceAll('START', '_start'));
  writeFileSync(join(folder, 'two.c'), SOURCE.replaceAll('FUNCTION', 'luke').replaceAll('START', 'second_start'));
  const fixture = {
    made: run('addr2line', ['--version']).split('\n')[0],
    kernel: { sha256, rows: rowsOf('kernel.elf', 101, 1n << 32n) },
    programs: VERSIONS.map((options) => {
      run('gcc', [...FLAGS, ...options.split(' '), `-ffile-prefix-map=${folder}=/src`, 'one.c', 'two.c', '-o', 'program.elf']);
      return { options, elf: deflateSync(readFileSync(join(folder, 'program.elf')), { level: 9 }).toString('base64'), rows: rowsOf('program.elf', 3, 0n) };
    }),
  };
  const text = JSON.stringify(fixture, undefined, 1).replaceAll(/\[\n\s+("0x[^\n]*),\n\s+("[^\n]*)\n\s+\]/g, '[$1, $2]');
  writeFileSync(new URL('lines.fixture.json', import.meta.url), `${text}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
