/**
 * Event text to a profile: exits are paired with entries by thread, because some layouts print no vCPU on one of them, and several guests may share vCPU numbers.
 *
 *     kvm_exit ──► (kvm_pio, kvm_msr, kvm_mmio say what it is about; others may stand between) ──► kvm_entry of the same thread: its time
 *
 * kvm_nested_vmexit repeats a kvm_exit and is not counted again. A text without any kvm_exit may still hold kvm_userspace_exit (as under kvm_pvm): then those are profiled, without times.
 */
import { ExitTable, HANDLER_UNKNOWN, TARGET_GPA, TARGET_MSR, TARGET_NONE, TARGET_PORT } from '../../engine/analysis/exit-profile/exit-table.ts';
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { summarize } from '../../engine/analysis/exit-profile/summary.ts';
import { isSleepName } from './reason-names.ts';
import { NotUnderstood } from './not-understood.ts';
import { type AccessDetail, type TraceLine, parseAccess, parseEntry, parseExit, parseTraceLine } from './trace-line.ts';

/** Bounds on what a text may make us remember. */
const THREADS_MAX = 65_536;
const REASONS_MAX = 1000;
const EVENT_NAMES_MAX = 1000;
/** Lines that one broken line may go on over: mail wraps the longest kvm_exit into four. */
const CONTINUATIONS_MAX = 4;

export interface ImportedExit {
  /** Of the kvm_exit, ns by the clock of the trace; undefined if it was printed without times. */
  readonly ns: number | undefined;
  /** To the kvm_entry; undefined if there was none. */
  readonly durationNs: number | undefined;
  readonly thread: number;
  readonly vcpu: number | undefined;
  readonly reason: string;
  readonly rip: bigint | undefined;
  readonly info1: bigint | undefined;
  readonly access: AccessDetail | undefined;
}

interface Thread {
  vcpu: number | undefined;
  reason: number | undefined;
  ns: number | undefined;
  rip: bigint;
  info1: bigint | undefined;
  access: AccessDetail | undefined;
  /** A write that kvm_pio told of before the userspace exit that belongs to it. */
  written: AccessDetail | undefined;
  userspace: { readonly ns: number | undefined; readonly reason: number } | undefined;
}

export class TraceImport {
  /** Lines by event. */
  readonly events = new Map<string, number>();
  readonly layouts = new Set<string>();
  exits = 0;
  entries = 0;
  /** Exits without an entry, entries without an exit. */
  unpairedExits = 0;
  unpairedEntries = 0;
  nested = 0;
  userspaceExits = 0;
  failedEntries = 0;
  lostEvents = 0;
  private readonly notUnderstood: NotUnderstood;
  private readonly onExit: (exit: ImportedExit) => void;
  private readonly threads = new Map<number, Thread>();
  private readonly reasonCodes = new Map<string, number>();
  private readonly reasonNames: string[] = [];
  private readonly table = new ExitTable((reason) => isSleepName(this.reasonNames[reason] ?? '')).withCosts();
  private readonly userspaceTable = new ExitTable((reason) => isSleepName(this.reasonNames[reason] ?? ''));
  private firstNs: number | undefined;
  private lastNs: number | undefined;
  private hasTimes = false;
  private broken: { line: number; text: string; parts: number } | undefined;

  constructor(notUnderstood: NotUnderstood, onExit: (exit: ImportedExit) => void = () => undefined) {
    this.notUnderstood = notUnderstood;
    this.onExit = onExit;
  }

  /** Takes a line if it is one of a trace. */
  take(number: number, text: string): boolean {
    const lost = /\[LOST (\d{1,12}) EVENTS\]|LOST (\d{1,12}) events/i.exec(text);
    if (lost !== null) {
      this.lostEvents += Number(lost[1] ?? lost[2]);
      return true;
    }
    const line = parseTraceLine(text);
    if (line === undefined) {
      if (this.broken === undefined || text.trim() === '' || this.broken.parts >= CONTINUATIONS_MAX) return false;
      const joined = `${this.broken.text} ${text.trim()}`;
      const whole = parseTraceLine(joined);
      this.broken = { line: this.broken.line, text: joined, parts: this.broken.parts + 1 };
      if (whole !== undefined && this.understand(whole)) this.broken = undefined;
      return true;
    }
    this.giveUpBroken();
    this.layouts.add(line.layout);
    this.count(line.event);
    if (!this.understand(line)) this.broken = { line: number, text, parts: 1 };
    return true;
  }

  /** After the last line. */
  end(): void {
    this.giveUpBroken();
    for (const [id, thread] of this.threads) {
      if (thread.reason !== undefined) this.close(id, thread, undefined);
      this.closeUserspace(thread);
    }
  }

  profile(name: string): ExitProfile {
    const isUserspaceOnly = this.exits === 0 && this.userspaceExits > 0;
    const layout = [...this.layouts].sort().join(', ');
    const notes: string[] = [];
    if (isUserspaceOnly) notes.push('the text holds no kvm_exit: exits to userspace (kvm_userspace_exit) are counted instead, and their times are not known');
    if (this.exits + this.userspaceExits === 0) notes.push('the text holds events of kvm, but neither kvm_exit nor kvm_userspace_exit: there is nothing to profile');
    if (this.unpairedExits > 0) notes.push(`${this.unpairedExits} exits have no kvm_entry after them, so their time is not known`);
    if (this.unpairedEntries > 0) notes.push(`${this.unpairedEntries} entries have no kvm_exit before them: the trace begins there, or events were lost`);
    if (this.nested > 0) notes.push(`${this.nested} kvm_nested_vmexit repeat a kvm_exit and are not counted again`);
    if (this.lostEvents > 0) notes.push(`the tool lost ${this.lostEvents} events: counts are too low`);
    if (this.failedEntries > 0) notes.push(`${this.failedEntries} entries failed`);
    if (!this.hasTimes) notes.push('the text was printed without times: there are counts only');
    return summarize(isUserspaceOnly ? this.userspaceTable : this.table, {
      source: { kind: layout === 'perf script' ? 'perf script' : layout === 'trace-cmd report' ? 'trace-cmd report' : `trace (${layout})`, name },
      unit: this.hasTimes && !isUserspaceOnly ? 'ns' : undefined,
      costIs: 'time from kvm_exit to kvm_entry, as the host sees it: without the hardware part of exit and entry (about 500 to 1000 cycles), and with the sleep of a halted guest',
      reasonName: (reason) => this.reasonNames[reason] ?? `reason ${reason}`,
      startNs: this.firstNs ?? 0,
      endNs: this.lastNs ?? this.firstNs ?? 0,
      phasesAre: 'vcpu',
      hasRips: !isUserspaceOnly,
      notes,
    });
  }

  /** Returns false if the event is one of those that matter, and its text is not what it should be. */
  private understand(line: TraceLine): boolean {
    const { ns } = line;
    if (ns !== undefined && line.event.startsWith('kvm_')) {
      this.firstNs = Math.min(this.firstNs ?? ns, ns);
      this.lastNs = Math.max(this.lastNs ?? ns, ns);
      this.hasTimes = true;
    }
    switch (line.event) {
      case 'kvm_exit': {
        const exit = parseExit(line.detail);
        if (exit === undefined) return false;
        const thread = this.threadOf(line.thread);
        if (thread.reason !== undefined) this.close(line.thread, thread, undefined);
        this.exits++;
        if (exit.isFailedEntry) this.failedEntries++;
        thread.vcpu = exit.vcpu ?? thread.vcpu;
        thread.reason = this.codeOf(exit.reason);
        thread.ns = ns;
        thread.rip = exit.rip;
        thread.info1 = exit.info1;
        thread.access = undefined;
        if (ns !== undefined) this.table.arrive(thread.reason, ns - (this.firstNs ?? 0));
        return true;
      }
      case 'kvm_entry': {
        const entry = parseEntry(line.detail);
        if (entry === undefined) return false;
        this.entries++;
        const thread = this.threadOf(line.thread);
        thread.vcpu = entry.vcpu ?? thread.vcpu;
        if (thread.reason === undefined) this.unpairedEntries++;
        else this.close(line.thread, thread, ns);
        return true;
      }
      case 'kvm_nested_vmexit':
        if (parseExit(line.detail) === undefined) return false;
        this.nested++;
        return true;
      case 'kvm_userspace_exit': {
        const reason = /^reason (\S{1,60}) \((-?\d{1,10})\)/.exec(line.detail);
        if (reason === null) return false;
        const thread = this.threadOf(line.thread);
        this.closeUserspace(thread);
        this.userspaceExits++;
        thread.userspace = { ns, reason: this.codeOf(reason[1] === 'error' ? `error (${reason[2]})` : reason[1]) };
        if (thread.written !== undefined) {
          thread.access = thread.written;
          this.closeUserspace(thread);
        }
        return true;
      }
      case 'kvm_pio':
      case 'kvm_msr':
      case 'kvm_mmio':
      case 'kvm_fast_mmio': {
        const access = parseAccess(line.event, line.detail);
        if (access === undefined) return false;
        const thread = this.threadOf(line.thread);
        if (thread.reason !== undefined) thread.access ??= access;
        else if (this.exits === 0 && !access.write && thread.userspace !== undefined) {
          thread.access = access;
          this.closeUserspace(thread);
        } else if (this.exits === 0 && access.write) thread.written = access;
        return true;
      }
      default:
        return true;
    }
  }

  /** The exit of a thread is over. */
  private close(id: number, thread: Thread, entryNs: number | undefined): void {
    const reason = thread.reason ?? 0;
    const durationNs = thread.ns !== undefined && entryNs !== undefined && entryNs >= thread.ns ? entryNs - thread.ns : undefined;
    const cell = this.cellOf(this.table, thread, reason, thread.rip);
    const ns = thread.ns ?? 0;
    if (durationNs === undefined) {
      this.table.add(cell, ns);
      if (thread.ns !== undefined) this.unpairedExits++;
    } else {
      this.table.addCost(cell, ns, { low: durationNs, typical: durationNs, high: durationNs });
    }
    this.onExit({ ns: thread.ns, durationNs, thread: id, vcpu: thread.vcpu, reason: this.reasonNames[reason], rip: thread.rip, info1: thread.info1, access: thread.access });
    thread.reason = undefined;
    thread.access = undefined;
  }

  private closeUserspace(thread: Thread): void {
    const { userspace } = thread;
    if (userspace === undefined) return;
    const isIo = /_(IO|MMIO|RDMSR|WRMSR)$/.test(this.reasonNames[userspace.reason] ?? '');
    if (userspace.ns !== undefined) this.userspaceTable.arrive(userspace.reason, userspace.ns - (this.firstNs ?? 0));
    this.userspaceTable.add(this.cellOf(this.userspaceTable, isIo ? thread : { ...thread, access: undefined }, userspace.reason, 0n), userspace.ns ?? 0);
    thread.userspace = undefined;
    thread.written = undefined;
    if (thread.reason === undefined) thread.access = undefined;
  }

  private cellOf(table: ExitTable, thread: Thread, reason: number, rip: bigint): number {
    table.usePhase(thread.vcpu === undefined ? 'vcpu ?' : `vcpu ${thread.vcpu}`);
    const { access } = thread;
    const kind = access === undefined ? TARGET_NONE : access.kind === 'port' ? TARGET_PORT : access.kind === 'msr' ? TARGET_MSR : TARGET_GPA;
    const lo = access === undefined ? 0 : access.kind === 'port' ? access.port : access.kind === 'msr' ? access.index : Number(access.address & 0xffff_ffffn);
    const hi = access?.kind === 'gpa' ? Number(access.address >> 32n) : 0;
    return table.cellOf(reason, HANDLER_UNKNOWN, kind, lo, hi, Number(rip & 0xffff_ffffn), Number(rip >> 32n));
  }

  private threadOf(id: number): Thread {
    // A text with more threads than any host has: all that come late are one.
    const key = this.threads.has(id) || this.threads.size < THREADS_MAX ? id : -1;
    let thread = this.threads.get(key);
    if (thread === undefined) {
      thread = { vcpu: undefined, reason: undefined, ns: undefined, rip: 0n, info1: undefined, access: undefined, written: undefined, userspace: undefined };
      this.threads.set(key, thread);
    }
    return thread;
  }

  private codeOf(name: string): number {
    const known = this.reasonCodes.get(name);
    if (known !== undefined) return known;
    if (this.reasonNames.length >= REASONS_MAX) return this.reasonCodes.get('(other reasons)') ?? this.newReason('(other reasons)');
    return this.newReason(name);
  }

  private newReason(name: string): number {
    this.reasonNames.push(name);
    this.reasonCodes.set(name, this.reasonNames.length - 1);
    return this.reasonNames.length - 1;
  }

  private count(event: string): void {
    const name = this.events.has(event) || this.events.size < EVENT_NAMES_MAX ? event : '(others)';
    this.events.set(name, (this.events.get(name) ?? 0) + 1);
  }

  private giveUpBroken(): void {
    if (this.broken !== undefined) this.notUnderstood.add(this.broken.line, this.broken.text, 'an event whose fields are not those of any layout known');
    this.broken = undefined;
  }
}
