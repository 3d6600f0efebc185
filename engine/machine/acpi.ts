/**
 * ACPI tables for a guest that has no firmware: RSDP -> XSDT -> FADT -> DSDT, and MADT. ACPI 6.5, chapter 5.2.
 *
 * The machine says it is hardware-reduced (FADT flag 20), as QEMU's microvm does. Then there are no fixed power-management
 * blocks, no SCI, no FACS and no switch to ACPI mode; power-off is one write to the sleep control register. Linux calibrates
 * its TSC with the PIT before it reads the FADT, then takes the legacy PIC for absent, so it needs neither the timer-through-
 * IOAPIC test nor the PIT as a clock, and runs from the LAPIC timer.
 *
 * Two consequences, seen with Debian's 6.1 kernel on these tables in QEMU:
 * - Only the quick TSC calibration (tsc.c, quick_pit_calibrate, within 50 ms) or CPUID can give the TSC's frequency. The slow
 *   one wants a legacy PIC; if it comes to that, the kernel marks the TSC unstable and hangs in calibrate_delay.
 * - Without `reboot=` on the command line a reboot goes EFI, then BIOS: a jump to ffff:0000 in real mode (reboot.c,
 *   reboot_init, efi_reboot_required). `reboot=a` writes our reset register; `reboot=t` and `reboot=k` work as ever.
 *
 * virtio windows interrupt by level, active high: the line is asserted while InterruptStatus is not zero, and a level cannot
 * lose the bit that is set between the driver's read and its acknowledgement. QEMU's microvm declares the same.
 */

import {
  ACPI_PM_PORT, RESET, RESET_VALUE, SLEEP_CONTROL, SLEEP_STATUS, SLEEP_TYPE_S5,
} from '../devices/acpi-pm/registers.ts';
import {
  ascii, concat, device, eisaId, integer, ioPorts, isaIrq, levelInterrupt, littleEndian, memory32Fixed, name, packageOf,
  resourceTemplate, scope, string, type Aml,
} from './acpi-aml.ts';

/** A virtio-mmio window. */
export interface AcpiVirtioWindow {
  readonly mmioBase: number;
  /** Bytes. */
  readonly mmioLength: number;
  /** Global system interrupt: the IOAPIC's input. */
  readonly gsi: number;
}

export interface AcpiOptions {
  /** In order of _UID and of the guest's probing. At most 256. */
  readonly virtio?: readonly AcpiVirtioWindow[];
  /** Defaults: UART at 0x3f8 IRQ 4, RTC present, no 8042. */
  readonly uart?: { readonly port: number; readonly irq: number } | false;
  readonly rtc?: boolean;
  /** A working keyboard controller at 0x60 and 0x64: the guest then probes it. One that can only reset is none. */
  readonly i8042?: boolean;
  /** First of the sleep and reset ports. */
  readonly pmPort?: number;
  readonly lapicAddress?: number;
  readonly ioapicAddress?: number;
  /** As the IOAPIC's own ID register says. */
  readonly ioapicId?: number;
  /** Where the RSDP goes: a multiple of 16 from 0xe0000 on, where guests look for it. The tables follow. */
  readonly address?: number;
}

export interface AcpiTable {
  readonly signature: string;
  /** Guest-physical. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** The part of guest memory that the loader marks as reserved, and in which the tables lie. */
export const ACPI_AREA_BEGIN = 0xe0000;
export const ACPI_AREA_END = 0x100000;
export const LAPIC_ADDRESS = 0xfee0_0000;
export const IOAPIC_ADDRESS = 0xfec0_0000;

const OEM_ID = 'CHRVSR';
const OEM_TABLE_ID = 'CHRVMACH';
const CREATOR_ID = 'CHRV';
const HEADER_BYTES = 36;

// ---- FADT: table 5.9. Offsets in bytes ----
const FADT_BYTES = 276;
const FADT_REVISION = 6;
const FADT_MINOR_REVISION = 5;
const FADT_DSDT = 40;
const FADT_CENTURY = 108;
const FADT_BOOT_ARCH = 109;
const FADT_FLAGS = 112;
const FADT_RESET_REGISTER = 116;
const FADT_RESET_VALUE = 128;
const FADT_MINOR = 131;
const FADT_X_DSDT = 140;
const FADT_SLEEP_CONTROL = 244;
const FADT_SLEEP_STATUS = 256;
// Flags: table 5.10.
const FLAG_WBINVD = 1 << 0;
const FLAG_POWER_BUTTON_IS_A_DEVICE = 1 << 4;
const FLAG_SLEEP_BUTTON_IS_A_DEVICE = 1 << 5;
const FLAG_RESET_REGISTER = 1 << 10;
const FLAG_HARDWARE_REDUCED = 1 << 20;
// IA-PC boot architecture flags: table 5.11.
const BOOT_LEGACY_DEVICES = 1 << 0;
const BOOT_8042 = 1 << 1;
const BOOT_NO_VGA = 1 << 2;
const BOOT_NO_MSI = 1 << 3;
const BOOT_NO_RTC = 1 << 5;
/** CMOS byte that holds the century, where PCs have it. */
const RTC_CENTURY = 0x32;

/** The RSDP first, then the tables, all within the ACPI area. */
export function buildAcpiTables(options: AcpiOptions = {}): { readonly rsdpAddress: number; readonly tables: readonly AcpiTable[] } {
  const rsdpAddress = options.address ?? ACPI_AREA_BEGIN;
  if (rsdpAddress % 16 !== 0) throw new RangeError(`ACPI: RSDP address 0x${rsdpAddress.toString(16)} is not a multiple of 16`);
  let next = rsdpAddress + 64;
  const place = (signature: string, bytes: Uint8Array): AcpiTable => {
    const address = next;
    next = Math.ceil((next + bytes.length) / 16) * 16;
    return { signature, address, bytes };
  };
  const dsdt = place('DSDT', buildDsdt(options));
  const fadt = place('FACP', buildFadt(options, dsdt.address));
  const madt = place('APIC', buildMadt(options));
  const xsdt = place('XSDT', buildXsdt([fadt.address, madt.address]));
  const rsdp = { signature: 'RSD PTR ', address: rsdpAddress, bytes: buildRsdp(xsdt.address) };
  if (rsdpAddress < ACPI_AREA_BEGIN || next > ACPI_AREA_END) {
    throw new RangeError(`ACPI: tables at 0x${rsdpAddress.toString(16)}-0x${next.toString(16)} leave 0xe0000-0x100000`);
  }
  return { rsdpAddress, tables: [rsdp, xsdt, fadt, madt, dsdt] };
}

/** Table 5.3. The first checksum covers the 20 bytes of revision 0, the second all 36. */
function buildRsdp(xsdtAddress: number): Uint8Array {
  const bytes = Uint8Array.of(
    ...ascii('RSD PTR '), 0, ...ascii(OEM_ID), 2, ...littleEndian(0, 4),
    ...littleEndian(36, 4), ...littleEndian(xsdtAddress, 8), 0, 0, 0, 0,
  );
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes);
  return bytes;
}

function buildXsdt(addresses: readonly number[]): Uint8Array {
  return table('XSDT', 1, Uint8Array.from(addresses.flatMap((address) => littleEndian(address, 8))));
}

function buildFadt(options: AcpiOptions, dsdtAddress: number): Uint8Array {
  const bytes = new Uint8Array(FADT_BYTES);
  const put = (offset: number, values: readonly number[]) => bytes.set(values, offset);
  const hasRtc = options.rtc ?? true;
  const hasUart = options.uart !== false;
  const pmPort = options.pmPort ?? ACPI_PM_PORT;
  put(FADT_DSDT, littleEndian(dsdtAddress, 4));
  put(FADT_CENTURY, [hasRtc ? RTC_CENTURY : 0]);
  put(FADT_BOOT_ARCH, littleEndian(
    BOOT_NO_VGA | BOOT_NO_MSI | (hasUart ? BOOT_LEGACY_DEVICES : 0) | (options.i8042 === true ? BOOT_8042 : 0) | (hasRtc ? 0 : BOOT_NO_RTC), 2));
  put(FADT_FLAGS, littleEndian(
    FLAG_WBINVD | FLAG_POWER_BUTTON_IS_A_DEVICE | FLAG_SLEEP_BUTTON_IS_A_DEVICE | FLAG_RESET_REGISTER | FLAG_HARDWARE_REDUCED, 4));
  put(FADT_RESET_REGISTER, bytePort(pmPort + RESET));
  put(FADT_RESET_VALUE, [RESET_VALUE]);
  put(FADT_MINOR, [FADT_MINOR_REVISION]);
  put(FADT_X_DSDT, littleEndian(dsdtAddress, 8));
  put(FADT_SLEEP_CONTROL, bytePort(pmPort + SLEEP_CONTROL));
  put(FADT_SLEEP_STATUS, bytePort(pmPort + SLEEP_STATUS));
  return table('FACP', FADT_REVISION, bytes.subarray(HEADER_BYTES));
}

/** Generic address structure (table 5.1): system I/O, 8 bits wide, byte access. */
function bytePort(port: number): number[] {
  return [1, 8, 0, 1, ...littleEndian(port, 8)];
}

/** Section 5.2.12. */
function buildMadt(options: AcpiOptions): Uint8Array {
  const dualPicFlag = 1;
  const content = [
    ...littleEndian(options.lapicAddress ?? LAPIC_ADDRESS, 4), ...littleEndian(dualPicFlag, 4),
    // Processor local APIC: processor UID 0, APIC ID 0, enabled.
    0, 8, 0, 0, ...littleEndian(1, 4),
    // I/O APIC: inputs from GSI 0 on.
    1, 12, options.ioapicId ?? 0, 0, ...littleEndian(options.ioapicAddress ?? IOAPIC_ADDRESS, 4), ...littleEndian(0, 4),
    // Interrupt source override: the PIT's ISA IRQ 0 is at input 2, with the bus's polarity and trigger.
    2, 10, 0, 0, ...littleEndian(2, 4), ...littleEndian(0, 2),
    // Local APIC NMI: LINT1 of all processors.
    4, 6, 0xff, ...littleEndian(0, 2), 1,
  ];
  return table('APIC', 5, Uint8Array.from(content));
}

function buildDsdt(options: AcpiOptions): Uint8Array {
  const windows = options.virtio ?? [];
  if (windows.length > 256) throw new RangeError(`ACPI: ${windows.length} virtio windows; 256 have names`);
  const devices: Aml[] = [];
  const uart = options.uart ?? { port: 0x3f8, irq: 4 };
  if (uart !== false) {
    devices.push(device('COM1',
      name('_HID', eisaId('PNP0501')),
      name('_UID', integer(0)),
      name('_CRS', resourceTemplate(ioPorts(uart.port, 8), isaIrq(uart.irq)))));
  }
  if (options.rtc ?? true) {
    devices.push(device('RTC',
      name('_HID', eisaId('PNP0B00')),
      name('_CRS', resourceTemplate(ioPorts(0x70, 2), isaIrq(8)))));
  }
  windows.forEach(({ mmioBase, mmioLength, gsi }, i) => {
    devices.push(device(`VR${i.toString(16).toUpperCase().padStart(2, '0')}`,
      name('_HID', string('LNRO0005')),
      name('_UID', integer(i)),
      name('_CCA', integer(1)),
      name('_CRS', resourceTemplate(memory32Fixed(mmioBase, mmioLength), levelInterrupt(gsi)))));
  });
  const sleepOff = name('_S5', packageOf(integer(SLEEP_TYPE_S5), integer(0), integer(0), integer(0)));
  // Revision 2: integers are 64 bits wide.
  return table('DSDT', 2, concat(scope('_SB', ...devices), scope('\\', sleepOff)));
}

/** A system description table: the header of table 5.4, then the content. */
function table(signature: string, revision: number, content: Uint8Array): Uint8Array {
  const header = Uint8Array.of(
    ...ascii(signature), ...littleEndian(HEADER_BYTES + content.length, 4), revision, 0,
    ...ascii(OEM_ID), ...ascii(OEM_TABLE_ID), ...littleEndian(1, 4), ...ascii(CREATOR_ID), ...littleEndian(1, 4),
  );
  const bytes = concat(header, content);
  bytes[9] = checksum(bytes);
  return bytes;
}

/** The byte that makes the sum zero, as long as its own place holds zero. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}
