/**
 * What would remove exits of a profile that was measured on another machine, feature by feature. A recording is folded again with the feature (comparison/, exact); of a text only names and counts are there, so
 * this is a table of rules: which exits a feature is for, and which share of them goes, as a range. Where the text does not tell what an exit was about (port, MSR, address), the low end is 0.
 */
import type { ExitProfile, ProfileRow } from './profile.ts';

/** Numbers that a row's label has, both ends included. */
type Span = readonly [first: number, last: number];
/** Of the exits of a row, or of their cost: low and high. */
type Share = readonly [low: number, high: number];

interface Rule {
  readonly feature: string;
  /** How it is had. */
  readonly how: string;
  /** Names of exit reasons, Intel's and AMD's; all their exits count. */
  readonly reasons?: RegExp;
  /** Rows of a view by what the exit was about. */
  readonly ports?: readonly Span[];
  readonly msrs?: readonly Span[];
  readonly pages?: readonly Span[];
  /** For profiles without that view: reasons some of whose exits may be meant. */
  readonly perhaps?: RegExp;
  readonly exits: Share;
  /** If it differs from that of the exits: they become cheaper. */
  readonly cost?: Share;
  /** Only if a profile has (or has not) such reasons. */
  readonly having?: RegExp;
  readonly lacking?: RegExp;
  readonly source: string;
}

const IO = /^(IO_INSTRUCTION|io|KVM_EXIT_IO)$/;
const MSR = /^(MSR_READ|MSR_WRITE|msr)$/;
const MMIO = /^(EPT_MISCONFIG|npf|KVM_EXIT_MMIO)$/;
const SHADOW = /^(INVLPG|invlpg)$/;
/** Or codes without a name: then those that have one may be others' under Intel's names. */
const NESTED_PAGING = /^(EPT_VIOLATION|EPT_MISCONFIG|npf|UNKNOWN.*)$/;

export const RULES: readonly Rule[] = [
  {
    feature: 'nested paging (EPT, NPT)', how: 'kvm_intel ept=1, kvm_amd npt=1', reasons: /^(CR_ACCESS|EXCEPTION_NMI|INVLPG|PF excp|(read|write)_cr[034]|invlpg)$/, having: SHADOW, lacking: NESTED_PAGING, exits: [0.95, 0.998],
    source: 'nicolashanout/linux: an Ubuntu boot had 8,618,699 CR_ACCESS, 1,566,621 EXCEPTION_NMI, 171,510 INVLPG without EPT; 18,175, 8,407, 0 with it (99.7 %)',
  },
  {
    feature: 'clocks and timers of the hypervisor', how: 'Linux: kvm-clock as clocksource; Windows: hv-time, hv-stimer', ports: [[0x40, 0x43], [0x61, 0x61], [0x70, 0x71], [0x608, 0x60b], [0xb008, 0xb00b]], pages: [[0xfed0_0000, 0xfed0_0fff]], perhaps: IO, exits: [0.9, 1],
    source: 'an idle Windows 10 had 55,654 IO_INSTRUCTION while it polled a timer, 50 after (cloud-atlas notes)',
  },
  {
    feature: 'a quiet console, or a virtio console', how: 'guest: quiet, or console=hvc0', ports: [[0x3f8, 0x3ff], [0x2f8, 0x2ff], [0x3e8, 0x3ef], [0x2e8, 0x2ef]], exits: [0.9, 1],
    source: 'two exits a character, one notification a line (assumed: lines of ten characters and more)',
  },
  {
    feature: 'virtio instead of IDE and VGA', how: 'if=virtio, virtio-vga', ports: [[0x1f0, 0x1f7], [0x170, 0x177], [0x376, 0x376], [0x3f6, 0x3f6], [0x3b0, 0x3df]], pages: [[0xa_0000, 0xb_ffff]], exits: [0.8, 1],
    source: 'a dozen register accesses a request become one notification (assumed)',
  },
  {
    feature: 'APIC virtualisation and posted interrupts (APICv, AVIC)', how: 'kvm_intel enable_apicv=1, kvm_amd avic=1', reasons: /^(APIC_ACCESS|TPR_BELOW_THRESHOLD|INTERRUPT_WINDOW|PENDING_INTERRUPT|vintr)$/, msrs: [[0x808, 0x808], [0x80b, 0x80b]], lacking: /^(APIC_WRITE|EOI_INDUCED|avic_\w+)$/,
    exits: [0.9, 1], source: 'Intel SDM 3C, "APIC virtualization and virtual interrupts"; EOIs of level-triggered interrupts stay',
  },
  {
    feature: 'posted interrupts for what is meant for the guest', how: 'as APICv, and VFIO or a vhost thread on another CPU', reasons: /^(EXTERNAL_INTERRUPT|interrupt)$/, exits: [0, 1], source: 'the text does not tell interrupts for the guest from those for the host',
  },
  {
    feature: 'APICv beside Hyper-V\'s synthetic controller', how: 'hv-avic (hv-apicv), AutoEOI deprecated', msrs: [[0x4000_0070, 0x4000_0070], [0x4000_0072, 0x4000_0072]], exits: [0.9, 1], source: 'kvm list, 2021: 787,803 exits in 5 s of a Windows game with the synthetic controller, 219,802 without APIC accesses by MSR',
  },
  {
    feature: 'x2APIC with APICv: interrupts between CPUs', how: 'guest in x2APIC mode, IPI virtualisation', reasons: /^(APIC_WRITE|avic_incomplete_ipi)$/, msrs: [[0x830, 0x830], [0x4000_0071, 0x4000_0071]], exits: [0, 1], source: 'kvm list, March 2022: an IPI 4,338 cycles, 3,645 with IPI virtualisation; other registers that are written stay',
  },
  {
    feature: 'the MSR bitmap', how: 'not emulated or nested without one', msrs: [[0xc000_0100, 0xc000_0102], [0x174, 0x176]], exits: [1, 1], source: 'Linux 6.1 vmx_possible_passthrough_msrs',
  },
  {
    feature: 'huge pages, or memory given beforehand', how: 'transparent_hugepage=always, or hugetlbfs with prealloc=on', reasons: /^(EPT_VIOLATION|npf)$/, exits: [0, 511 / 512], source: 'one fault for 512 pages; the text does not say which faults were of pages, and how large they were',
  },
  {
    feature: 'notifications that end in the kernel (ioeventfd, vhost)', how: 'vhost=on', perhaps: MMIO, exits: [0, 0], cost: [0, 0.78], source: 'kvm-unit-tests 00bfecaa: 20,574 cycles to userspace, 4,451 in the kernel',
  },
  {
    feature: 'paravirtual spinlocks, or no more virtual CPUs than real ones', how: 'kvm_pv_unhalt, hv-spinlocks', reasons: /^(PAUSE|PAUSE_INSTRUCTION|pause)$/, exits: [0.5, 1], source: 'kvm list, 2019: 80 CPUs three times over: 1,700 to 13,000 records a second (share of exits assumed)',
  },
];

export interface Advice {
  readonly feature: string;
  readonly how: string;
  /** Exits that would go. */
  readonly exits: { readonly low: number; readonly high: number };
  /** Their cost, in the unit of the profile. */
  readonly cost?: { readonly low: number; readonly high: number } | undefined;
  /** Rows of the profile that it rests on. */
  readonly from: readonly string[];
  readonly source: string;
}

/** Best first; nothing that would remove nothing. Rules do not exclude each other, so savings do not add up. */
export function adviceOn(profile: ExitProfile): Advice[] {
  const reasons = (profile.by.reason ?? []).filter(({ isIdle }) => !isIdle);
  const has = (pattern: RegExp): boolean => reasons.some(({ label }) => pattern.test(label));
  const found: Advice[] = [];
  for (const rule of RULES) {
    if ((rule.having !== undefined && !has(rule.having)) || (rule.lacking !== undefined && has(rule.lacking))) continue;
    const sure: ProfileRow[] = rule.reasons === undefined ? [] : reasons.filter(({ label }) => rule.reasons?.test(label));
    const views = [[profile.by.port, rule.ports, IO], [profile.by.msr, rule.msrs, MSR], [profile.by.gpa, rule.pages, MMIO]] as const;
    const unsure: ProfileRow[] = [];
    for (const [rows, spans, of] of views) {
      if (spans === undefined) continue;
      if (rows !== undefined) sure.push(...rows.filter(({ label, isIdle }) => !isIdle && spans.some(([first, last]) => Number(label) >= first && Number(label) <= last)));
      else if (rule.perhaps?.source === of.source) unsure.push(...reasons.filter(({ label }) => of.test(label)));
    }
    if (rule.ports === undefined && rule.msrs === undefined && rule.pages === undefined && rule.perhaps !== undefined) unsure.push(...reasons.filter(({ label }) => rule.perhaps?.test(label)));
    const sum = (rows: readonly ProfileRow[], of: (row: ProfileRow) => number): number => rows.reduce((all, row) => all + of(row), 0);
    const range = (of: (row: ProfileRow) => number, [low, high]: Share): { low: number; high: number } => ({ low: sum(sure, of) * low, high: (sum(sure, of) + sum(unsure, of)) * high });
    const exits = range(({ count }) => count, rule.exits);
    const cost = profile.unit === undefined ? undefined : range((row) => row.cost?.total ?? 0, rule.cost ?? rule.exits);
    if (exits.high < 1 && !((cost?.high ?? 0) > 0)) continue;
    found.push({ feature: rule.feature, how: rule.how, exits: { low: Math.floor(exits.low), high: Math.floor(exits.high) }, ...(cost !== undefined && { cost }), from: [...sure, ...unsure].map(({ label }) => label), source: rule.source });
  }
  const weight = ({ exits, cost }: Advice): number => (cost === undefined ? exits.low + exits.high : cost.low + cost.high);
  return found.sort((a, b) => weight(b) - weight(a) || (a.feature < b.feature ? -1 : 1));
}

/** True if the text does not say what exits were about: with that, advice would be narrower. */
export function lacksTargets(profile: ExitProfile): boolean {
  return (profile.by.reason ?? []).some(({ label }) => IO.test(label) || MSR.test(label)) && profile.by.port === undefined && profile.by.msr === undefined;
}
