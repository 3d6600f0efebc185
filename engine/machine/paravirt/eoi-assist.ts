/**
 * End of interrupt through a bit in guest memory, as KVM does it for its own MSR (PV EOI) and for Hyper-V's assist page ("no EOI required").
 *
 *     interrupt injected, nothing else waits ──► the bit is set
 *         guest ends the interrupt: clears the bit and is done            guest finds the bit clear: writes the EOI register
 *     another interrupt comes, or the guest touches the APIC:
 *         the bit is clear: the APIC gets its EOI now                     the bit is set: it is taken back, the guest must write EOI
 *
 * So the interrupt that waits never waits longer than with a real EOI, and the APIC is right whenever somebody looks.
 * Source: Linux 6.1 arch/x86/kvm/lapic.c, apic_sync_pv_eoi_to_guest(), apic_sync_pv_eoi_from_guest(). KVM takes the bit back at every VM exit and sets it again
 * at the entry; here only at those that can make a difference. Interrupts of the PIT, whose end KVM also wants to see, are not exempt here.
 */
import type { GuestMemory, SavedState } from '../../devices/device.ts';
import { restoreState, saveState } from '../../devices/saved-state.ts';
import type { ParavirtApic } from './paravirt.ts';

const NONE = -1;
const EOI_NOT_REQUIRED = 1;

type EoiAssistState = {
  /** Physical address of the byte; NONE while the guest has not enabled it. */
  address: number;
  /** The bit was set; the guest may have cleared it since. */
  isOffered: boolean;
  /** The vector injected last, until the APIC gets an EOI; NONE. */
  vector: number;
};

export class EoiAssist {
  private readonly memory: GuestMemory;
  private readonly apic: ParavirtApic;
  private state = atPowerOn();

  constructor(memory: GuestMemory, apic: ParavirtApic) {
    this.memory = memory;
    this.apic = apic;
  }

  /** The guest names the byte, which must be in memory. */
  enable(address: number): void {
    this.settle();
    this.state.address = address;
    this.offer();
  }
  disable(): void {
    this.settle();
    this.state.address = NONE;
  }

  /** Before an interrupt reaches the APIC, and before the guest touches it: the APIC gets the EOI that it is owed. */
  settle(): void {
    const { state, memory } = this;
    if (!state.isOffered) return;
    state.isOffered = false;
    if ((memory.view(state.address, 1)[0] & EOI_NOT_REQUIRED) !== 0) memory.write(state.address, Uint8Array.of(0));
    else this.apic.endOfInterrupt();
  }

  /** After the guest touched the APIC: what was taken back is offered again if it still may be. */
  offer(): void {
    const { state, apic, memory } = this;
    if (state.address === NONE || state.isOffered || state.vector === NONE) return;
    if (apic.inService !== state.vector || apic.isPending || apic.isLevel(state.vector)) return;
    state.isOffered = true;
    memory.write(state.address, Uint8Array.of(EOI_NOT_REQUIRED));
  }

  /** The CPU took the interrupt. */
  injected(vector: number): void {
    // The spurious vector has no end.
    if (this.apic.inService !== vector) return;
    this.state.vector = vector;
    this.offer();
  }

  /** The APIC got an EOI. */
  ended(): void {
    this.state.vector = NONE;
  }

  reset(): void {
    this.state = atPowerOn();
  }
  save(): SavedState {
    return saveState(this.state);
  }
  restore(state: SavedState): void {
    this.state = restoreState(atPowerOn(), state, 'eoi');
  }
}

function atPowerOn(): EoiAssistState {
  return { address: NONE, isOffered: false, vector: NONE };
}
