/** The same guest under QEMU: translator alone, recording, replaying. */
import { spawn } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findMarks } from './guest.ts';
import type { Mark } from './measure.ts';

export const QEMU = 'qemu-system-x86_64';
/** The features of our CPU model that qemu64 does not have; no APIC, as on our machine without ACPI. */
const CPU = 'qemu64,-apic,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16';
/** Ticks of a CPU second in /proc/PID/stat (USER_HZ). */
const TICKS = 100;

export type QemuMode = 'tcg' | 'rr-record' | 'rr-replay';

/** Undefined if QEMU is not installed. */
export function qemuVersion(): string | undefined {
  try {
    return /version (\S+)/.exec(execFileSync(QEMU, ['--version'], { encoding: 'utf8' }))?.[1];
  } catch {
    return undefined;
  }
}

function icount(mode: QemuMode, log: string): string[] {
  if (mode === 'tcg') return [];
  return ['-icount', `shift=auto,rr=${mode === 'rr-record' ? 'record' : 'replay'},rrfile=${log}`];
}

/** User and system time of a process, all its threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

export interface QemuResult {
  readonly marks: readonly Mark[];
  readonly residentBytes: number;
  /** Bytes of QEMU's own log, 0 if it has none. */
  readonly logBytes: number;
}

export function runQemu(mode: QemuMode, folder: string, memoryMib: number, secondsMax: number): Promise<QemuResult> {
  const file = (name: string): string => join(folder, name);
  const log = file('qemu.rr');
  const args = [
    '-M', 'microvm,acpi=off,rtc=on', '-cpu', CPU, '-m', String(memoryMib), '-accel', 'tcg', ...icount(mode, log),
    '-kernel', file('kernel'), '-initrd', file('initrd'), '-append', readFileSync(file('commandLine'), 'utf8'),
    '-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-net', 'none', '-nodefaults', '-no-reboot',
  ]; // prettier-ignore
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(QEMU, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const marks: Mark[] = [];
    let residentBytes = 0;
    const console = findMarks((name) => {
      marks.push({ name, wallSeconds: (performance.now() - start) / 1000, cpuSeconds: cpuSeconds(child.pid!) });
      residentBytes = peakBytes(child.pid!);
    });
    let complaints = '';
    const timer = setTimeout(() => {
      complaints += `not finished after ${secondsMax} s`;
      child.kill('SIGKILL');
    }, secondsMax * 1000);
    child.stdout.on('data', (chunk: Buffer) => chunk.forEach(console));
    child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code !== 0) reject(new Error(`${QEMU} ${mode} ended with ${code} after ${marks.map(({ name }) => name).join(', ')}: ${complaints.trim()}`));
      else resolve({ marks, residentBytes, logBytes: mode === 'rr-record' ? statSync(log).size : 0 });
    });
  });
}
