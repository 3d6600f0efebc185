/**
 * Names of exit reasons, for every technique: Intel's basic exit reasons as they are, the others in ranges of their own above 0xffff.
 *
 * Intel: SDM volume 3, appendix C. AMD: APM volume 2, appendix C, as Linux prints them (arch/x86/include/uapi/asm/svm.h). Xen: xen/include/public/xen.h.
 */

import { EXIT_REASONS, HYPERCALL_REASON } from '../log/events.ts';

/** Intel's basic exit reasons, beyond those of the log (engine/log/events.ts). */
export const VMX = {
  exception: 0, externalInterrupt: 1, tripleFault: 2, interruptWindow: 7, taskSwitch: 9, cpuid: 10, hlt: 12, invd: 13, invlpg: 14, rdpmc: 15, rdtsc: 16, vmcall: 18, cr: 28, dr: 29, io: 30, rdmsr: 31,
  wrmsr: 32, mwait: 36, monitor: 39, pause: 40, tprBelowThreshold: 43, apicAccess: 44, eoiInduced: 45, gdtrIdtr: 46, ldtrTr: 47, eptViolation: 48, eptMisconfig: 49, rdtscp: 51, preemptionTimer: 52,
  wbinvd: 54, xsetbv: 55, apicWrite: 56, rdrand: 57, invpcid: 58,
} as const;

export const SVM_BASE = 0x1_0000;
/** A Xen hypercall: XEN_HYPERCALL_BASE + number. */
export const XEN_HYPERCALL_BASE = 0x2_0000;
/** What Xen does for a PV guest without a hypercall. */
export const XEN_TRAP_BASE = 0x3_0000;
/** A binary translator: entries of its monitor. */
export const BT_BASE = 0x4_0000;
/** PVM's switcher (software paravirtualisation with shadow page tables). */
export const PVM_BASE = 0x5_0000;

export const SVM = {
  readCr: SVM_BASE, writeCr: SVM_BASE + 0x10, readDr: SVM_BASE + 0x20, writeDr: SVM_BASE + 0x30, exception: SVM_BASE + 0x40, interrupt: SVM_BASE + 0x60, virtualInterrupt: SVM_BASE + 0x64, cr0Selective: SVM_BASE + 0x65,
  rdpmc: SVM_BASE + 0x6f, cpuid: SVM_BASE + 0x72, invd: SVM_BASE + 0x76, pause: SVM_BASE + 0x77, hlt: SVM_BASE + 0x78, invlpg: SVM_BASE + 0x79, io: SVM_BASE + 0x7b, msr: SVM_BASE + 0x7c,
  shutdown: SVM_BASE + 0x7f, vmmcall: SVM_BASE + 0x81, wbinvd: SVM_BASE + 0x89, monitor: SVM_BASE + 0x8a, mwait: SVM_BASE + 0x8b, xsetbv: SVM_BASE + 0x8d, npf: SVM_BASE + 0x400,
  avicIncompleteIpi: SVM_BASE + 0x401, avicUnaccelerated: SVM_BASE + 0x402,
} as const;

export const XEN = {
  setTrapTable: 0, mmuUpdate: 1, setGdt: 2, stackSwitch: 3, fpuTaskswitch: 5, setDebugreg: 8, getDebugreg: 9, updateDescriptor: 10, multicall: 13, updateVaMapping: 14, setTimerOp: 15, xenVersion: 17, consoleIo: 18,
  grantTableOp: 20, iret: 23, vcpuOp: 24, setSegmentBase: 25, mmuextOp: 26, schedOp: 29, callbackOp: 30, eventChannelOp: 32, physdevOp: 33,
} as const;
export const XEN_TRAP = { exceptionBounce: XEN_TRAP_BASE, privilegedOp: XEN_TRAP_BASE + 1, forcedCpuid: XEN_TRAP_BASE + 2, writablePageTable: XEN_TRAP_BASE + 3, eventUpcall: XEN_TRAP_BASE + 4, syscallBounce: XEN_TRAP_BASE + 5, hostInterrupt: XEN_TRAP_BASE + 6 } as const;
export const BT = {
  trueFault: BT_BASE, hiddenFault: BT_BASE + 1, traceFault: BT_BASE + 2, deviceModel: BT_BASE + 3, hostInterrupt: BT_BASE + 4, exception: BT_BASE + 5, halt: BT_BASE + 6,
} as const;
export const PVM = { pageFault: PVM_BASE, exception: PVM_BASE + 1, privilegedOp: PVM_BASE + 2, loadPageTable: PVM_BASE + 3, tlbInvlpg: PVM_BASE + 4, irqHalt: PVM_BASE + 5, hypercallMsr: PVM_BASE + 6, interrupt: PVM_BASE + 7, eretu: PVM_BASE + 8, writeProtect: PVM_BASE + 9 } as const;

const HYPERCALL_NAMES: Readonly<Record<number, string>> = {
  // Xen's, and of the numbers that Xen leaves to the architecture one of engine/guests/pv-abi.h.
  0: 'set_trap_table', 1: 'mmu_update', 2: 'set_gdt', 3: 'stack_switch', 4: 'set_callbacks', 5: 'fpu_taskswitch', 6: 'sched_op_compat', 7: 'platform_op', 8: 'set_debugreg', 9: 'get_debugreg', 10: 'update_descriptor',
  12: 'memory_op', 13: 'multicall', 14: 'update_va_mapping', 15: 'set_timer_op', 16: 'event_channel_op_compat', 17: 'xen_version', 18: 'console_io', 19: 'physdev_op_compat', 20: 'grant_table_op', 21: 'vm_assist',
  22: 'update_va_mapping_otherdomain', 23: 'iret', 24: 'vcpu_op', 25: 'set_segment_base', 26: 'mmuext_op', 27: 'xsm_op', 28: 'nmi_op', 29: 'sched_op', 30: 'callback_op', 31: 'xenoprof_op', 32: 'event_channel_op', 33: 'physdev_op',
  34: 'hvm_op', 35: 'sysctl', 36: 'domctl', 37: 'kexec_op', 38: 'tmem_op', 39: 'argo_op', 40: 'xenpmu_op', 41: 'dm_op', 42: 'hypfs_op', 48: 'mark',
};

const NAMES = new Map<number, string>([
  ...Object.entries({
    0: 'EXCEPTION_NMI', 1: 'EXTERNAL_INTERRUPT', 2: 'TRIPLE_FAULT', 3: 'INIT_SIGNAL', 4: 'SIPI_SIGNAL', 7: 'INTERRUPT_WINDOW', 8: 'NMI_WINDOW', 9: 'TASK_SWITCH', 10: 'CPUID', 11: 'GETSEC', 12: 'HLT', 13: 'INVD',
    14: 'INVLPG', 15: 'RDPMC', 16: 'RDTSC', 17: 'RSM', 18: 'VMCALL', 19: 'VMCLEAR', 20: 'VMLAUNCH', 21: 'VMPTRLD', 22: 'VMPTRST', 23: 'VMREAD', 24: 'VMRESUME', 25: 'VMWRITE', 26: 'VMOFF', 27: 'VMON', 28: 'CR_ACCESS',
    29: 'DR_ACCESS', 30: 'IO_INSTRUCTION', 31: 'MSR_READ', 32: 'MSR_WRITE', 33: 'INVALID_STATE', 34: 'MSR_LOAD_FAIL', 36: 'MWAIT_INSTRUCTION', 37: 'MONITOR_TRAP_FLAG', 39: 'MONITOR_INSTRUCTION', 40: 'PAUSE_INSTRUCTION',
    41: 'MCE_DURING_VMENTRY', 43: 'TPR_BELOW_THRESHOLD', 44: 'APIC_ACCESS', 45: 'EOI_INDUCED', 46: 'GDTR_IDTR', 47: 'LDTR_TR', 48: 'EPT_VIOLATION', 49: 'EPT_MISCONFIG', 50: 'INVEPT', 51: 'RDTSCP', 52: 'PREEMPTION_TIMER',
    53: 'INVVPID', 54: 'WBINVD', 55: 'XSETBV', 56: 'APIC_WRITE', 57: 'RDRAND', 58: 'INVPCID', 59: 'VMFUNC', 60: 'ENCLS', 61: 'RDSEED', 62: 'PML_FULL', 63: 'XSAVES', 64: 'XRSTORS', 67: 'UMWAIT', 68: 'TPAUSE', 74: 'BUS_LOCK',
    75: 'NOTIFY', 77: 'TDCALL', 84: 'MSR_READ_IMM', 85: 'MSR_WRITE_IMM',
  }).map(([code, name]): [number, string] => [Number(code), name]),
  ...Object.entries({
    0x60: 'interrupt', 0x61: 'nmi', 0x62: 'smi', 0x63: 'init', 0x64: 'vintr', 0x65: 'cr0_sel_write', 0x6e: 'rdtsc', 0x6f: 'rdpmc', 0x70: 'pushf', 0x71: 'popf', 0x72: 'cpuid', 0x73: 'rsm', 0x74: 'iret', 0x75: 'swint', 0x76: 'invd',
    0x77: 'pause', 0x78: 'hlt', 0x79: 'invlpg', 0x7a: 'invlpga', 0x7b: 'io', 0x7c: 'msr', 0x7d: 'task_switch', 0x7e: 'ferr_freeze', 0x7f: 'shutdown', 0x80: 'vmrun', 0x81: 'hypercall', 0x87: 'rdtscp', 0x89: 'wbinvd', 0x8a: 'monitor',
    0x8b: 'mwait', 0x8d: 'xsetbv', 0xa2: 'invpcid', 0x400: 'npf', 0x401: 'avic_incomplete_ipi', 0x402: 'avic_unaccelerated_access',
  }).map(([code, name]): [number, string] => [SVM_BASE + Number(code), name]),
  ...Object.entries(HYPERCALL_NAMES).flatMap(([code, name]): [number, string][] => [XEN_HYPERCALL_BASE, HYPERCALL_REASON].map((base) => [base + Number(code), `hypercall ${name}`])),
  [EXIT_REASONS.paravirtualSystemCall, 'system call bounced'],
  [XEN_TRAP.exceptionBounce, 'exception bounced'],
  [XEN_TRAP.privilegedOp, 'privileged operation emulated'],
  [XEN_TRAP.forcedCpuid, 'forced CPUID'],
  [XEN_TRAP.writablePageTable, 'writable page table emulated'],
  [XEN_TRAP.eventUpcall, 'event upcall'],
  [XEN_TRAP.syscallBounce, 'system call bounced'],
  [XEN_TRAP.hostInterrupt, 'interrupt for Xen'],
  [BT.trueFault, 'true page fault'],
  [BT.hiddenFault, 'hidden page fault'],
  [BT.traceFault, 'trace fault'],
  [BT.deviceModel, 'device access'],
  [BT.hostInterrupt, 'interrupt for the monitor'],
  [BT.exception, 'exception forwarded'],
  [BT.halt, 'halt'],
  [PVM.pageFault, 'PF excp'],
  [PVM.exception, 'other excp'],
  [PVM.privilegedOp, 'GP excp'],
  [PVM.loadPageTable, 'HC_LOAD_PGTBL'],
  [PVM.tlbInvlpg, 'HC_TLB_INVLPG'],
  [PVM.irqHalt, 'HC_IRQ_HALT'],
  [PVM.hypercallMsr, 'HC_WRMSR'],
  [PVM.interrupt, 'INTERRUPT'],
  [PVM.eretu, 'ERETU'],
  [PVM.writeProtect, 'PF excp (page-table write)'],
]);

/** As the technique's own tools print it; `reason 99` for what has no name. */
export function reasonName(reason: number): string {
  const known = NAMES.get(reason);
  if (known !== undefined) return known;
  const svm = reason - SVM_BASE;
  if (svm >= 0 && svm < 0x40) return `${svm & 0x10 ? 'write' : 'read'}_${svm < 0x20 ? 'cr' : 'dr'}${svm & 15}`;
  if (svm >= 0x40 && svm < 0x60) return `${EXCEPTIONS[svm - 0x40] ?? svm - 0x40} excp`;
  return reason >= SVM_BASE ? `reason 0x${reason.toString(16)}` : `reason ${reason}`;
}
const EXCEPTIONS = ['DE', 'DB', 'NMI', 'BP', 'OF', 'BR', 'UD', 'NM', 'DF', '9', 'TS', 'NP', 'SS', 'GP', 'PF', '15', 'MF', 'AC', 'MC', 'XM'];
