/**
 * Named platforms: a regime and its options, as data. A user's own platform is a JSON file of the same form (platform.ts checks it).
 *
 * What an entry leaves out has the regime's default. Notes say what the products do that no regime models.
 */
import type { Platform } from './platform.ts';

const HV = { hyperv: true, hypervAvic: true, kvmPv: false } as const;

export const PLATFORMS: readonly Platform[] = [
  { id: 'kvm-qemu', title: 'KVM with QEMU', regime: 'hw', options: { kvmPv: true }, notes: ['virtio devices end in the kernel only with ioeventfd and vhost; serial ports and RTC are in QEMU.'] },
  { id: 'firecracker', title: 'Firecracker', regime: 'hw', options: { kvmPv: true, ioeventfd: true, hostPages: 'small' }, notes: ['Memory is backed by 4 KiB pages unless huge pages are asked for; few devices.'] },
  { id: 'kvm-shadow', title: 'KVM with ept=0', regime: 'hw-shadow', options: { apicv: true, msrBitmap: true, preemptionTimer: true, ioeventfd: true, kvmPv: true }, notes: [] },
  { id: 'xen-pv', title: 'Xen, paravirtual guest', regime: 'para', options: {}, notes: [] },
  { id: 'xen-hvm', title: 'Xen, HVM guest with QEMU\'s devices', regime: 'hw', options: { ioeventfd: false, irqchip: 'kernel', preemptionTimer: false, kvmPv: false }, notes: ['Interrupt controllers and timers are in Xen; every other device is a switch to QEMU in another domain.'] },
  { id: 'xen-pvhvm', title: 'Xen, HVM guest with paravirtual drivers', regime: 'hw', options: { ioeventfd: true, irqchip: 'kernel', preemptionTimer: false, kvmPv: true }, notes: ['Event channels replace ends of interrupt (as kvmPv); disk and network rings end in a backend domain.'] },
  { id: 'xen-pvh', title: 'Xen, PVH guest', regime: 'hw', options: { ioeventfd: true, irqchip: 'kernel', preemptionTimer: false, kvmPv: true }, notes: ['No emulated devices: a recording of a guest that uses them overstates I/O exits.'] },
  { id: 'pvm', title: 'PVM: KVM\'s door without VT-x', regime: 'para', options: { mmu: 'shadow', syscall: 'direct', splitDrivers: false }, notes: ['Devices are QEMU\'s or a microVM\'s: port accesses are emulated.'] },
  { id: 'vmware-workstation-bt', title: 'VMware Workstation, binary translation', regime: 'full', options: { hosted: true }, cpu: 'pentium4', notes: ['32-bit guests in its time; taken here for the recorded 64-bit one.'] },
  { id: 'vmware-esx-bt', title: 'VMware ESX, binary translation', regime: 'full', options: { hosted: false }, cpu: 'pentium4', notes: ['32-bit guests in its time; taken here for the recorded 64-bit one.'] },
  { id: 'vmware-workstation', title: 'VMware Workstation, now', regime: 'hw', options: { irqchip: 'kernel', ioeventfd: false, preemptionTimer: false, kvmPv: false }, notes: ['The monitor is not KVM: its own controls are not known here. A hosted device model.'] },
  { id: 'vmware-esxi', title: 'VMware ESXi, now', regime: 'hw', options: { irqchip: 'kernel', ioeventfd: true, preemptionTimer: false, kvmPv: false }, notes: ['The monitor is not KVM: its own controls are not known here.'] },
  { id: 'hyper-v', title: 'Hyper-V', regime: 'hw', options: { ...HV, irqchip: 'kernel', ioeventfd: true, preemptionTimer: false }, notes: ['Emulated devices live in the parent partition; VMBus devices are taken for virtio ones.'] },
  { id: 'virtualbox', title: 'VirtualBox', regime: 'hw', options: { irqchip: 'kernel', apicv: false, ioeventfd: false, hostPages: 'small', kvmPv: false }, notes: ['Its own controls are not known here.'] },
  { id: 'virtual-pc', title: 'Microsoft Virtual PC', regime: 'full', options: { hosted: true, adaptive: false }, cpu: 'pentium4', notes: ['How its translator adapted is not known here: taken as not at all.'] },
  { id: 'zvm', title: 'z/VM, or any machine with interpretive execution (SIE)', regime: 'hw', options: { apicv: true, irqchip: 'kernel', ioeventfd: true, preemptionTimer: true, kvmPv: true, hostPages: 'huge' }, notes: ['Another architecture: what SIE assists (storage, timers, interrupts) is mapped to the nearest options of x86; the costs are those of x86. No figure for z/VM is known here.'] },
];
