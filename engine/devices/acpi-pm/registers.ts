/** Sleep and reset registers of a hardware-reduced ACPI machine, as the FADT names them (ACPI 6.5, 4.8.3.6 and 4.8.3.7). */

/** Where the machine has them: three byte-wide ports. */
export const ACPI_PM_PORT = 0x600;

/** Offsets from the first port. */
export const SLEEP_CONTROL = 0; // RW
export const SLEEP_STATUS = 1;  // RW, write one to clear
export const RESET = 2;         // W (4.8.3.6)
export const PORT_COUNT = 3;

// ---- sleep control ----
export const SLEEP_TYPE_SHIFT = 2;
export const SLEEP_TYPE_MASK = 7 << SLEEP_TYPE_SHIFT;
/** Write-only: starts the transition. */
export const SLEEP_ENABLE = 1 << 5;
/** The SLP_TYP that the DSDT's \_S5 gives for soft off. */
export const SLEEP_TYPE_S5 = 5;

/** What RESET_VALUE of the FADT is; other values do nothing. */
export const RESET_VALUE = 0x42;
