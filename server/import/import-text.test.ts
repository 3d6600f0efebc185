/**
 * Importers against texts made here in every layout, counted a second time by plain pattern matching, and against damage.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProfileRow } from '../../engine/analysis/exit-profile/profile.ts';
import { type ImportReport, TextImport, importText } from './import-text.ts';
import { LINE_CHARACTERS_MAX } from './lines.ts';
import type { ImportedExit } from './trace-import.ts';

const row = (report: ImportReport, label: string, by: 'reason' | 'port' | 'msr' | 'gpa' | 'vcpu' | 'device' = 'reason'): ProfileRow => {
  const found = report.profile?.by[by]?.find((each) => each.label === label);
  if (found === undefined) throw new Error(`no row ${label} in ${JSON.stringify(report.profile?.by[by]?.map((each) => each.label))}`);
  return found;
};

/** Park-Miller. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => (state = (state * 48_271) % 0x7fff_ffff) % below;
}

type Layout = 'perf script' | 'trace-cmd old' | 'ftrace transitional' | 'ftrace four flags' | 'ftrace five flags with requests';
const LAYOUTS: readonly Layout[] = ['perf script', 'trace-cmd old', 'ftrace transitional', 'ftrace four flags', 'ftrace five flags with requests'];
const REASONS = ['EPT_VIOLATION', 'MSR_WRITE', 'IO_INSTRUCTION', 'HLT', 'PF excp', 'EXTERNAL_INTERRUPT'] as const;

/** A trace of two vCPUs in turns, each exit followed by what a kernel prints between exit and entry. */
function makeTrace(layout: Layout, exits: number, seed: number): { readonly text: string; readonly totalUs: ReadonlyMap<string, number>; readonly maxUs: ReadonlyMap<string, number> } {
  const next = random(seed);
  const lines: string[] = layout.startsWith('ftrace') ? ['# tracer: nop', '#', '#           TASK-PID     CPU#  ||||   TIMESTAMP  FUNCTION'] : layout === 'trace-cmd old' ? ['cpus=4', 'CPU 3 is empty'] : [];
  const totalUs = new Map<string, number>();
  const maxUs = new Map<string, number>();
  let us = 184_503_384_328;
  const time = (): string => `${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, '0')}:`;
  const emit = (vcpu: number, event: string, detail: string): void => {
    const cpu = `[${String(vcpu + 1).padStart(3, '0')}]`;
    const thread = 2_137_770 + vcpu;
    const pad = event.padStart(20);
    switch (layout) {
      case 'perf script':
        lines.push(`       CPU ${vcpu}/KVM ${thread} ${cpu} ${time()} ${`kvm:${event}`.padStart(28)}: ${detail}${event === 'kvm_pio' ? ' ' : ''}`);
        break;
      case 'trace-cmd old':
        lines.push(`  CPU ${vcpu}/KVM-${thread} ${cpu} ${time()} ${event}:            ${detail}`);
        break;
      case 'ftrace transitional':
      case 'ftrace four flags':
        lines.push(`       CPU ${vcpu}/KVM-${thread}  ${cpu} d... ${time()} ${event}: ${detail}`);
        break;
      default:
        lines.push(` qemu-system-x86-${thread}   ${cpu} d..1. ${time()} ${pad.trim()}: ${detail}`);
    }
  };
  for (let i = 0; i < exits; i++) {
    const vcpu = next(2);
    const reason = REASONS[next(REASONS.length)];
    const rip = `0x${(0xffff_ffff_8100_0000n + BigInt(next(64) * 16)).toString(16)}`;
    const info = next(0xfff).toString(16);
    us += 1 + next(50);
    const from = us;
    const long = `info1 0x${info.padStart(16, '0')} info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000`;
    emit(vcpu, 'kvm_exit', layout === 'trace-cmd old' ? `reason ${reason} rip ${rip} info ${info} 0` : layout === 'ftrace transitional' ? `vcpu ${vcpu} reason ${reason} rip ${rip} info ${info} 0` : `vcpu ${vcpu} reason ${reason} rip ${rip} ${long}${layout === 'ftrace five flags with requests' ? ' requests 0x0000000000000000' : ''}`);
    us += next(3);
    if (reason === 'EPT_VIOLATION') emit(vcpu, 'kvm_page_fault', `address 7fc036d000 error_code ${info}`);
    if (reason === 'MSR_WRITE') emit(vcpu, 'kvm_msr', `msr_write ${next(2) === 0 ? '6e0' : '830'} = 0x81cba98c958c9`);
    if (reason === 'IO_INSTRUCTION') emit(vcpu, 'kvm_pio', `pio_write at 0x${next(2) === 0 ? '3f8' : 'cf8'} size 1 count 1 val 0x0`);
    if (next(10) === 0) emit(vcpu, 'kvm_mmio', `mmio ${next(2) === 0 ? 'write' : 'read'} len 4 gpa 0xfee000b0 val 0x0`);
    us += reason === 'HLT' ? 1000 + next(10_000) : next(30);
    emit(vcpu, 'kvm_entry', layout === 'trace-cmd old' || layout === 'ftrace transitional' ? `vcpu ${vcpu}` : layout === 'ftrace five flags with requests' ? `vcpu ${vcpu}, rip ${rip} intr_info 0x00000000 error_code 0x00000000${next(9) === 0 ? '[immediate exit]' : ''}` : `vcpu ${vcpu}, rip ${rip}`);
    totalUs.set(reason, (totalUs.get(reason) ?? 0) + us - from);
    maxUs.set(reason, Math.max(maxUs.get(reason) ?? 0, us - from));
  }
  return { text: `${lines.join('\n')}\n`, totalUs, maxUs };
}

/** What `grep -c` says. */
const grep = (text: string, pattern: RegExp): number => text.split('\n').filter((line) => pattern.test(line)).length;

describe('event text', () => {
  it.each(LAYOUTS)('%s: counts are those of grep, times those of the maker', (layout) => {
    const { text, totalUs, maxUs } = makeTrace(layout, 3000, 7);
    const exits: ImportedExit[] = [];
    const report = importText('t', text, (exit) => exits.push(exit));
    expect(report.kind).toBe('trace');
    expect(report.notUnderstood, JSON.stringify(report.firstNotUnderstood)).toBe(0);
    expect(report.pairs).toMatchObject({ exits: grep(text, /kvm_exit:/), entries: grep(text, /kvm_entry:/), unpairedExits: 0, unpairedEntries: 0 });
    for (const reason of REASONS) {
      const found = row(report, reason);
      expect(found.count, reason).toBe(grep(text, new RegExp(`kvm_exit:.*reason ${reason} rip`)));
      expect(found.isIdle).toBe(reason === 'HLT');
      expect(found.cost?.total, reason).toBe((totalUs.get(reason) ?? 0) * 1000);
      expect(found.cost?.max, reason).toBe((maxUs.get(reason) ?? 0) * 1000);
    }
    expect(report.profile?.exits).toBe(3000);
    expect(report.profile?.idleExits).toBe(row(report, 'HLT').count);
    expect(report.profile?.work?.typical).toBe([...totalUs].filter(([reason]) => reason !== 'HLT').reduce((sum, [, us]) => sum + us, 0) * 1000);
    for (const msr of ['6e0', '830']) expect(row(report, `0x${msr}`, 'msr').count).toBe(grep(text, new RegExp(`kvm_msr:.*msr_write ${msr} `)));
    for (const port of ['3f8', 'cf8']) expect(row(report, `0x${port}`, 'port').count).toBe(grep(text, new RegExp(`kvm_pio:.*at 0x${port} `)));
    expect(row(report, 'uart', 'device').count).toBe(grep(text, /kvm_pio:.*at 0x3f8 /));
    // Both vCPUs, although the old layout names them on entries only.
    for (const vcpu of [0, 1]) expect(row(report, `vcpu ${vcpu}`, 'vcpu').count).toBeGreaterThan(500);
    expect(Object.values(report.events).reduce((sum, count) => sum + count, 0)).toBe(grep(text, /kvm_/));
    expect(exits).toHaveLength(3000);
    expect(exits.filter((exit) => exit.durationNs === undefined)).toEqual([]);
  });

  it('pairs by thread, keeps nested exits apart, and tells what has no partner', () => {
    const report = importText('t', [
      '           repro-1289    [019] d....   140.314600: kvm_entry: vcpu 0, rip 0x1',
      '           repro-1289    [019] d....   140.314684: kvm_exit: vcpu 0 reason EXCEPTION_NMI rip 0x1 info1 0x0000000000004000 info2 0x0000000000000000 intr_info 0x80000301 error_code 0x00000000',
      '           other-1290    [020] d....   140.314684: kvm_exit: vcpu 0 reason CPUID rip 0x2 info1 0x0000000000000000 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000',
      '           repro-1289    [019] .....   140.314685: kvm_nested_vmexit: vcpu 0 reason EXCEPTION_NMI rip 0x1 info1 0x0000000000004000 info2 0x0000000000000000 intr_info 0x80000301 error_code 0x00000000',
      '           repro-1289    [019] .....   140.314688: kvm_inj_exception: #DB',
      '           other-1290    [020] d....   140.314690: kvm_entry: vcpu 0, rip 0x2',
      '           repro-1289    [019] d....   140.314694: kvm_entry: vcpu 0, rip 0x1',
      '           repro-1289    [019] d....   140.314700: kvm_exit: vcpu 0 reason EPT_VIOLATION FAILED_VMENTRY rip 0x1 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0',
      'CPU:3 [LOST 17 EVENTS]',
    ].join('\n'));
    expect(report.pairs).toEqual({ exits: 3, entries: 3, unpairedExits: 1, unpairedEntries: 1, nested: 1, userspaceExits: 0 });
    expect(row(report, 'EXCEPTION_NMI').cost?.total).toBe(10_000);
    expect(row(report, 'CPUID').cost?.total).toBe(6000);
    expect(row(report, 'EPT_VIOLATION').cost).toBeUndefined();
    expect(report.profile?.notes.join('\n')).toMatch(/1 exits have no kvm_entry[\s\S]*1 entries have no kvm_exit[\s\S]*1 kvm_nested_vmexit[\s\S]*lost 17 events[\s\S]*1 entries failed/);
  });

  it('reads a trace without times as counts', () => {
    const report = importText('t', '   CPU 0/KVM-82557 [002] ... kvm_entry: vcpu 0, rip 0xffffffffae1b603b\n   CPU 0/KVM-82557 [002] ... kvm_exit: vcpu 0 reason msr rip 0xffffffffad496104\n');
    expect(row(report, 'msr').count).toBe(1);
    expect(report.profile?.unit).toBeUndefined();
    expect(report.profile?.notes.join()).toContain('without times');
  });

  it('counts exits to userspace where there is no kvm_exit at all', () => {
    const lines = [];
    for (let i = 0; i < 20; i++) {
      lines.push(`            kb64 17107 [000]  2724.1488${80 + i}:             kvm:kvm_userspace_exit: reason KVM_EXIT_IO (2)`);
      lines.push(`            kb64 17107 [000]  2724.1488${80 + i}:                        kvm:kvm_pio: pio_read at 0x1234 size 1 count 1 val 0x0 `);
    }
    lines.push('            kb64 17107 [000]  2724.149528:                        kvm:kvm_pio: pio_write at 0xf1 size 1 count 1 val 0x0 ');
    lines.push('            kb64 17107 [000]  2724.149529:             kvm:kvm_userspace_exit: reason KVM_EXIT_IO (2)');
    const report = importText('t', lines.join('\n'));
    expect(row(report, 'KVM_EXIT_IO').count).toBe(21);
    expect(row(report, '0x1234', 'port').count).toBe(20);
    expect(row(report, '0xf1', 'port').count).toBe(1);
  });

  it('joins what mail has broken, and says what it could not read', () => {
    const report = importText('t', [
      'On Friday somebody wrote:',
      '> qemu-1 [015] d.... 1.000001: kvm_exit: vcpu 0 reason',
      '> EPT_VIOLATION rip 0xfd0bd info1 0x0000000000000000 info2',
      '> 0x0000000000000413 intr_info 0x80000306 error_code 0x00000000',
      '> qemu-1 [015] d.... 1.000003: kvm_entry: vcpu 0, rip 0xf7d6b',
      '> qemu-1 [015] d.... 1.000009: kvm_exit: vcpu 0 reas',
    ].join('\n'));
    expect(row(report, 'EPT_VIOLATION').cost?.total).toBe(2000);
    expect(report.notUnderstood).toBe(2);
    expect(report.firstNotUnderstood.map(({ line }) => line)).toEqual([1, 6]);
  });
});

const HEADING = '             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time ';

describe('perf kvm stat report', () => {
  it('reads the layout of perf 6.1: names with blanks, codes without a name, HLT apart', () => {
    const report = importText('t', [
      '# perf kvm stat report', '', 'Analyze events for all VMs, all VCPUs:', '', HEADING, '',
      '                 HLT        100    33.33%    97.09%      0.63us  17539.26us   1000.00us ( +-   0.61% )',
      'unknown kvm exit code:131072 on VMX',
      '             UNKNOWN         50    16.67%     1.46%      0.34us 1663159.36us     30.00us ( +-  18.58% )',
      'unknown kvm exit code:327680 on VMX',
      '             UNKNOWN         40    13.33%     0.39%      0.34us     59.36us     10.00us ( +-  18.58% )',
      '                                 PF excp        110    36.67%     1.07%      0.78us     87.94us     10.00us ( +-  99.26% )',
      '', 'Total Samples:300, Total events handled time:103000.00us.', '', 'Lost events: 12',
    ].join('\n'));
    expect(report.notUnderstood).toBe(0);
    expect(report.profile?.exits).toBe(300);
    expect(report.profile?.idleExits).toBe(100);
    expect(report.profile?.by.reason?.map(({ label }) => label)).toEqual(['UNKNOWN (131072)', 'PF excp', 'UNKNOWN (327680)', 'HLT']);
    expect(row(report, 'UNKNOWN (131072)').cost).toMatchObject({ total: 1_500_000, min: 340, max: 1_663_159_360, mean: 30_000, share: 1_500_000 / 3_000_000 });
    expect(report.profile?.notes.join()).not.toContain('rows are missing');
    expect(report.profile?.notes.join()).toContain('lost 12 events');
  });

  it('reads the newer layout: nanoseconds, maximum before minimum, shares from counts', () => {
    const report = importText('t', [
      'Event name                Samples   Sample%    Time (ns)     Time%   Max Time (ns)   Min Time (ns)  Mean Time (ns)',
      'STORE_GUEST_PAGE_FAULT     300     75.00%    3000000    60.00%     33614         2760          10000',
      'LOAD_GUEST_PAGE_FAULT      100     25.00%    2000000    40.00%     25134         3080          20000 ',
    ].join('\n'));
    expect(row(report, 'STORE_GUEST_PAGE_FAULT').cost).toMatchObject({ total: 3_000_000, min: 2760, max: 33_614, share: 0.6 });
    expect(report.profile?.exits).toBe(400);
  });

  it('reads condensed tables, other events than exits, wrapped mail, and nothing at all', () => {
    expect(row(importText('t', 'VM-EXIT                Samples  Samples%   Time%    Avg time\nPF excp                 356920    75.11%   27.28%     3.07us\n'), 'PF excp').cost).toEqual({ exits: 356_920, total: 356_920 * 3070, totalLow: 356_920 * 3070, totalHigh: 356_920 * 3070, mean: 3070, share: 1 });
    expect(row(importText('t', HEADING.replace('             VM-EXIT', '      IO Port Access') + '\n         0x70:POUT          4    66.67%    61.54%      2.00us      6.00us      4.00us ( +-   9.00% )\n'), '0x70:POUT', 'port').count).toBe(4);
    const mail = importText('t', [
      '>              VM-EXIT    Samples  Samples%     Time%    Min Time    Max', '> Time         Avg time', '>   EXTERNAL_INTERRUPT     471831    59.89%    68.58%      0.64us', '> 65.42us      2.34us ( +-   0.11% )', '>',
      '> Total Samples:787803, Total events handled time:1611193.84us.',
    ].join('\n'));
    expect(mail.notUnderstood).toBe(0);
    expect(row(mail, 'EXTERNAL_INTERRUPT').cost).toMatchObject({ min: 640, max: 65_420, mean: 2340 });
    expect(mail.profile?.notes.join()).toContain('the rows add up to 471831 exits, the footer says 787803');
    const empty = importText('t', `${HEADING}\n\n\nTotal Samples:0, Total events handled time:0.00us.\n`);
    expect([empty.kind, empty.profile?.exits, empty.notUnderstood]).toEqual(['table', 0, 0]);
  });
});

describe('hostile text', () => {
  const good = [makeTrace('perf script', 40, 3).text, makeTrace('ftrace five flags with requests', 40, 4).text, `${HEADING}\n  HLT        100    33.33%    97.09%      0.63us  17539.26us   1000.00us ( +-   0.61% )\nTotal Samples:100, Total events handled time:1.00us.\n`];
  const check = (text: string): void => {
    const report = importText('t', text);
    expect(report.lines).toBe(text === '' ? 0 : text.split('\n').length - (text.endsWith('\n') ? 1 : 0));
    expect(report.notUnderstood).toBeLessThanOrEqual(report.lines);
    expect(report.firstNotUnderstood.length).toBe(Math.min(10, report.notUnderstood));
    if (report.profile !== undefined) expect(Number.isSafeInteger(report.profile.exits)).toBe(true);
  };

  it('never crashes: any text, cut, mixed or damaged', () => {
    const words = fc.constantFrom('kvm_exit:', 'kvm_entry:', 'vcpu', 'reason', 'rip', '0x', '-1', '[000]', '12.5:', 'kvm:kvm_pio:', 'pio_read at 0x', 'Samples', 'Samples%', 'Time%', 'VM-EXIT', 'us', '99999999999999999999', '( +-', '% )', '>', '\n', ' ', '\0', '{', 'é');
    fc.assert(fc.property(fc.array(fc.oneof(words, fc.string({ maxLength: 20 })), { maxLength: 80 }), (parts) => check(parts.join(' '))), { numRuns: 300 });
    fc.assert(
      fc.property(fc.constantFrom(...good), fc.nat(), fc.array(fc.tuple(fc.nat(), fc.string({ maxLength: 3 })), { maxLength: 20 }), (text, cut, edits) => {
        let damaged = text.slice(0, cut % (text.length + 1));
        for (const [at, replacement] of edits) damaged = damaged.slice(0, at % (damaged.length + 1)) + replacement + damaged.slice((at % (damaged.length + 1)) + replacement.length);
        check(damaged);
      }),
      { numRuns: 300 },
    );
  });

  it('is the same however the bytes arrive', () => {
    const bytes = new TextEncoder().encode(good[1]);
    const whole = importText('t', good[1]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        const importer = new TextImport('t');
        for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]) importer.push(bytes.subarray(at, at + sizes[i % sizes.length]));
        expect(importer.end()).toEqual(whole);
      }),
      { numRuns: 20 },
    );
  });

  it('takes no time that grows with the square of a line, and no memory beyond it', () => {
    const cpuUs = (words: number): number => {
      const started = process.cpuUsage().user;
      const report = importText('t', [`${'a-1 '.repeat(words)}`, ' '.repeat(4000), `${'9 '.repeat(2000)}`, `x-1 [000] 1.1: kvm_exit: reason ${'A '.repeat(1900)}`].join('\n'));
      expect(report.notUnderstood).toBe(3);
      expect(report.firstNotUnderstood[0].why).toContain(String(LINE_CHARACTERS_MAX));
      return process.cpuUsage().user - started;
    };
    cpuUs(100_000);
    // Eight times as long a line: 8 times the time, and not 64.
    const short = Math.max(20_000, cpuUs(250_000));
    expect(cpuUs(2_000_000) / short).toBeLessThan(32);
  });

  it('stays bounded with thirty thousand reasons, threads and event names', () => {
    const lines: string[] = [];
    for (let i = 0; i < 30_000; i++) lines.push(`x-${i} [000] 1.1: kvm_exit: vcpu 0 reason R${i} rip 0x${i.toString(16)}`, `x-${i} [000] 1.1: event_${i}: x`);
    const report = importText('t', lines.join('\n'));
    expect(report.profile?.exits).toBe(30_000);
    expect(report.profile?.by.reason?.reduce((sum, { count }) => sum + count, 0)).toBe(30_000);
    expect(report.profile?.by.reason?.length).toBeLessThan(1100);
    expect(Object.keys(report.events).length).toBeLessThan(1100);
  });
});
