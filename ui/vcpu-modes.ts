/** The mode that the CPU is in, from writes of CR0 and EFER, which are events: real, protected, long. A far return into a compatibility segment is no event. */
import { type EventBatch, eventAt } from '../engine/log/event-batch.ts';
import { KIND_EXIT } from '../engine/log/events.ts';
import { SHAPE_EXIT_CR, SHAPE_EXIT_MSR } from '../engine/log/shapes.ts';
import type { ModeChange } from '../engine/protocol/events.ts';

const CHANGES_MAX = 5000;
const IA32_EFER = 0xc0000080;
const EFER_LME = 1 << 8;
const CR0_PE = 1;

export class ModeFold {
  readonly changes: ModeChange[] = [];

  add(batch: EventBatch): void {
    const { count, shape, f0 } = batch.sites;
    // Which instructions of a block write them is a question to few sites, not to all rows.
    let wanted: Set<number> | undefined;
    for (let site = 0; site < count; site++) {
      if ((shape[site] === SHAPE_EXIT_CR && f0[site] === 0) || (shape[site] === SHAPE_EXIT_MSR && f0[site] === IA32_EFER)) (wanted ??= new Set()).add(site);
    }
    if (wanted === undefined) return;
    for (let row = 0; row < batch.count && this.changes.length < CHANGES_MAX; row++) {
      if (batch.kind[row] !== KIND_EXIT || !wanted.has(batch.site[row])) continue;
      const event = eventAt(batch, row);
      if (event.kind !== 'exit') continue;
      const { detail, position } = event;
      if (detail.kind === 'cr' && detail.access === 'mov-to') this.changes.push({ position, cr0: Number(detail.value & 0xffff_ffffn), efer: undefined });
      // LMSW sets PE, and cannot clear it; the other three bits it writes tell no mode.
      else if (detail.kind === 'cr' && detail.access === 'lmsw' && (Number(detail.value) & CR0_PE) !== 0) this.changes.push({ position, cr0: 'protected', efer: undefined });
      else if (detail.kind === 'msr' && detail.write) this.changes.push({ position, cr0: undefined, efer: Number(detail.value & 0xffff_ffffn) });
    }
  }
}

export interface CpuControl {
  readonly cr0: number;
  readonly efer: number;
}

/** Names of modes where they begin. powerOn: undefined as long as nobody has looked at the machine; then what is before the first writes has no name. */
export function modesOf(changes: readonly ModeChange[], powerOn: CpuControl | undefined): readonly { readonly position: number; readonly text: string }[] {
  let cr0 = powerOn?.cr0;
  let efer = powerOn?.efer;
  const modes: { readonly position: number; readonly text: string }[] = [];
  const note = (position: number): void => {
    const text = modeName(cr0, efer);
    if (text !== undefined && modes.at(-1)?.text !== text) modes.push({ position, text });
  };
  note(0);
  for (const change of changes) {
    if (change.cr0 === 'protected') cr0 = (cr0 ?? 0) | CR0_PE;
    else cr0 = change.cr0 ?? cr0;
    efer = change.efer ?? efer;
    note(change.position);
  }
  return modes;
}

/** Intel SDM, volume 3, section 2.2: PE (bit 0), PG (bit 31), EFER.LME (bit 8). */
function modeName(cr0: number | undefined, efer: number | undefined): string | undefined {
  if (cr0 === undefined) return undefined;
  if ((cr0 & CR0_PE) === 0) return 'real mode';
  if (cr0 >>> 31 === 0) return 'protected mode';
  if (efer === undefined) return undefined;
  return (efer & EFER_LME) === 0 ? 'protected mode, paged' : 'long mode';
}
