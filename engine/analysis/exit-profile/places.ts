/** Names of what exits are about: devices by port and address, MSRs. The machine's own (engine/machine) and those a PC has, for imported traces. */

import { VIRTIO_MMIO_BASE, VIRTIO_MMIO_LENGTH, VIRTIO_MMIO_STRIDE } from '../../devices/virtio/mmio.ts';

interface Range {
  readonly first: number;
  readonly last: number;
  readonly device: string;
}

/** Sources: engine/devices (each device's registers); Intel 82371AB (PIIX4) datasheet for the PC's fixed ports; QEMU docs/specs (fw_cfg, 0x510; PVPANIC, 0x505). */
const PORTS: readonly Range[] = [
  { first: 0x00, last: 0x0f, device: 'dma' },
  { first: 0x20, last: 0x21, device: 'pic' },
  { first: 0x40, last: 0x43, device: 'pit' },
  { first: 0x60, last: 0x60, device: 'i8042' },
  { first: 0x61, last: 0x61, device: 'pit' },
  { first: 0x64, last: 0x64, device: 'i8042' },
  { first: 0x70, last: 0x71, device: 'rtc' },
  { first: 0x80, last: 0x80, device: 'post' },
  { first: 0x81, last: 0x8f, device: 'dma' },
  { first: 0x92, last: 0x92, device: 'i8042' },
  { first: 0xa0, last: 0xa1, device: 'pic' },
  { first: 0xe9, last: 0xe9, device: 'debug-console' },
  { first: 0xf0, last: 0xf1, device: 'fpu' },
  { first: 0xf4, last: 0xf4, device: 'debug-exit' },
  { first: 0xf5, last: 0xf5, device: 'mark' },
  { first: 0x170, last: 0x177, device: 'ide' },
  { first: 0x1f0, last: 0x1f7, device: 'ide' },
  { first: 0x2e8, last: 0x2ef, device: 'uart' },
  { first: 0x2f8, last: 0x2ff, device: 'uart' },
  { first: 0x376, last: 0x376, device: 'ide' },
  { first: 0x3b0, last: 0x3df, device: 'vga' },
  { first: 0x3e8, last: 0x3ef, device: 'uart' },
  { first: 0x3f6, last: 0x3f6, device: 'ide' },
  { first: 0x3f8, last: 0x3ff, device: 'uart' },
  { first: 0x4d0, last: 0x4d1, device: 'pic' },
  { first: 0x505, last: 0x505, device: 'pvpanic' },
  { first: 0x510, last: 0x511, device: 'fw_cfg' },
  { first: 0x600, last: 0x60b, device: 'acpi-pm' },
  { first: 0xcf8, last: 0xcff, device: 'pci' },
];

export function deviceOfPort(port: number): string | undefined {
  return PORTS.find(({ first, last }) => port >= first && port <= last)?.device;
}

const LAPIC = 0xfee0_0000;
const IOAPIC = 0xfec0_0000;
const HPET = 0xfed0_0000;

/** A register window of a machine: `{ first: 0xd000_0000, last: 0xd000_01ff, device: 'virtio-block 0' }`. */
export type Window = Range;

export function deviceOfAddress(address: number, windows: readonly Window[]): string | undefined {
  if (address >= LAPIC && address < LAPIC + 0x1000) return 'lapic';
  if (address >= IOAPIC && address < IOAPIC + 0x1000) return 'ioapic';
  if (address >= HPET && address < HPET + 0x400) return 'hpet';
  return windows.find(({ first, last }) => address >= first && address <= last)?.device;
}

/** The windows of a recording's virtio devices: `config.devices` of its header, in slot order. Devices of the same kind are numbered. */
export function machineWindows(devices: readonly string[]): readonly Window[] {
  return devices.map((name, slot) => {
    const same = devices.filter((each) => each === name).length > 1;
    const first = VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_STRIDE;
    return { first, last: first + VIRTIO_MMIO_LENGTH - 1, device: `virtio-${name.replace(/^virtio-/, '')}${same ? ` ${slot}` : ''}` };
  });
}

/** Intel SDM volume 4; AMD APM volume 2; KVM documentation (msr.rst); Hyper-V TLFS. */
const MSRS: Readonly<Record<number, string>> = {
  0x10: 'IA32_TIME_STAMP_COUNTER', 0x1b: 'IA32_APIC_BASE', 0x3a: 'IA32_FEATURE_CONTROL', 0x3b: 'IA32_TSC_ADJUST', 0x48: 'IA32_SPEC_CTRL', 0x49: 'IA32_PRED_CMD', 0x79: 'IA32_BIOS_UPDT_TRIG', 0x8b: 'IA32_BIOS_SIGN_ID', 0xce: 'MSR_PLATFORM_INFO',
  0xfe: 'IA32_MTRRCAP', 0x10a: 'IA32_ARCH_CAPABILITIES', 0x140: 'MISC_FEATURES_ENABLES', 0x174: 'IA32_SYSENTER_CS', 0x175: 'IA32_SYSENTER_ESP', 0x176: 'IA32_SYSENTER_EIP', 0x179: 'IA32_MCG_CAP', 0x17a: 'IA32_MCG_STATUS',
  0x19c: 'IA32_THERM_STATUS', 0x1a0: 'IA32_MISC_ENABLE', 0x1d9: 'IA32_DEBUGCTL', 0x277: 'IA32_PAT', 0x2ff: 'IA32_MTRR_DEF_TYPE', 0x38d: 'IA32_FIXED_CTR_CTRL', 0x38f: 'IA32_PERF_GLOBAL_CTRL', 0x6e0: 'IA32_TSC_DEADLINE',
  0x802: 'X2APIC_ID', 0x808: 'X2APIC_TPR', 0x80b: 'X2APIC_EOI', 0x80d: 'X2APIC_LDR', 0x80f: 'X2APIC_SVR', 0x830: 'X2APIC_ICR', 0x832: 'X2APIC_LVT_TIMER', 0x838: 'X2APIC_TIMER_INITIAL', 0x839: 'X2APIC_TIMER_CURRENT', 0x83f: 'X2APIC_SELF_IPI',
  0xda0: 'IA32_XSS', 0x4000_0000: 'HV_X64_MSR_GUEST_OS_ID', 0x4000_0001: 'HV_X64_MSR_HYPERCALL', 0x4000_0020: 'HV_X64_MSR_TIME_REF_COUNT', 0x4000_0070: 'HV_X64_MSR_EOI', 0x4000_0071: 'HV_X64_MSR_ICR', 0x4000_0072: 'HV_X64_MSR_TPR',
  0x4000_00b0: 'HV_X64_MSR_STIMER0_CONFIG', 0x4000_00b1: 'HV_X64_MSR_STIMER0_COUNT', 0x4b56_4d00: 'MSR_KVM_WALL_CLOCK_NEW', 0x4b56_4d01: 'MSR_KVM_SYSTEM_TIME_NEW', 0x4b56_4d02: 'MSR_KVM_ASYNC_PF_EN', 0x4b56_4d03: 'MSR_KVM_STEAL_TIME',
  0x4b56_4d04: 'MSR_KVM_PV_EOI_EN', 0x4b56_4d05: 'MSR_KVM_POLL_CONTROL', 0x4b56_4d06: 'MSR_KVM_ASYNC_PF_INT', 0x4b56_4d07: 'MSR_KVM_ASYNC_PF_ACK', 0xc000_0080: 'IA32_EFER', 0xc000_0081: 'IA32_STAR', 0xc000_0082: 'IA32_LSTAR',
  0xc000_0083: 'IA32_CSTAR', 0xc000_0084: 'IA32_FMASK', 0xc000_0100: 'IA32_FS_BASE', 0xc000_0101: 'IA32_GS_BASE', 0xc000_0102: 'IA32_KERNEL_GS_BASE', 0xc000_0103: 'IA32_TSC_AUX', 0xc001_001f: 'MSR_AMD64_NB_CFG', 0xc001_0015: 'MSR_K7_HWCR',
};

export function msrName(index: number): string | undefined {
  return MSRS[index];
}

/** Intel SDM volume 3, table 7-1. */
export const VECTOR_NAMES = ['#DE', '#DB', 'NMI', '#BP', '#OF', '#BR', '#UD', '#NM', '#DF', 'vector 9', '#TS', '#NP', '#SS', '#GP', '#PF', 'vector 15', '#MF', '#AC', '#MC', '#XM', '#VE', '#CP'] as const;
