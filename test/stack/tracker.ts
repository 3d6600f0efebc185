/**
 * Who called whom, found out by single-stepping the lab kernel, with what only its source tells: where each stack lies. The model that call stacks
 * and steps are held against; it knows nothing of theirs.
 */
import { type ListedInstruction, instructionAt } from '../../engine/debug/listing.ts';
import { readLinear, readRegister } from '../../engine/debug/inspect.ts';
import type { SymbolTable } from '../../engine/debug/symbols.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';

/** A frame's maker. */
export interface Node {
  readonly kind: 'root' | 'call' | 'interrupt' | 'syscall';
  readonly parent: Node | undefined;
  /** What rsp will be behind it. */
  readonly above: bigint;
  /** Of the return address, or of the RIP that was pushed. */
  readonly slot: bigint;
  readonly position: number;
}

export interface State {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly node: Node;
  readonly instruction: ListedInstruction;
  /** Something was delivered here, so the instruction did not run. */
  delivers: boolean;
}

/** engine/guests/kernel/process.h */
const KERNEL_STACK_BYTES = 8192n;
const STUBS_BYTES = 48n * 16n;

/** What was called before the model looked, on one stack. */
function root(): Node {
  return { kind: 'root', parent: undefined, above: 1n << 64n, slot: 1n << 64n, position: -1 };
}

export class Tracker {
  readonly from: number;
  /** States from `from` on. */
  readonly states: State[] = [];

  /** Looks at every position from `from` to `to`. */
  constructor(travel: TimeTravel, table: SymbolTable, from: number, to: number) {
    this.from = from;
    const { machine } = travel;
    const stacks = table.find('stacks');
    const stubs = table.find('trap_stubs').address;
    const isStub = (rip: bigint): boolean => rip >= stubs && rip < stubs + STUBS_BYTES;
    const decoded = new Map<string, ListedInstruction>();
    const tops = new Map<string, Node>();
    const word = (address: bigint): bigint => {
      const bytes = readLinear(machine, address, 8);
      return bytes.length < 8 ? 0n : Buffer.from(bytes).readBigUInt64LE();
    };
    const register = (name: string): bigint => readRegister(machine, name) ?? 0n;
    const regionOf = (rsp: bigint, cr3: bigint): string => {
      if (rsp < 1n << 63n) return `user ${cr3}`;
      const offset = rsp - 1n - stacks.address;
      return offset >= 0n && offset < BigInt(stacks.size) ? `task ${offset / KERNEL_STACK_BYTES}` : 'boot';
    };
    travel.seek(from);
    let state: State | undefined;
    let isUserBefore = false;
    let userNode: Node | undefined;
    for (let position = from; position <= to; position++) {
      if (position > from) travel.replayOn(position);
      const rip = register('rip');
      const rsp = register('rsp');
      const cr3 = register('cr3');
      const isUser = register('cpl') === 3n;
      const region = regionOf(rsp, cr3);
      const isTransit = !isUser && rsp < 1n << 63n;
      let node = tops.get(region) ?? root();
      if (state !== undefined) {
        const { flow, mnemonic } = state.instruction;
        if (isStub(rip) && !isStub(state.rip)) {
          const isEntry = (rip - stubs) % 16n === 0n;
          if (isEntry) {
            // It waited for the instruction before, which has run.
            const above = word(rsp + 24n);
            const isUserCode = (word(rsp + 8n) & 3n) === 3n;
            let parent = state.node;
            if (isUserCode && !isUserBefore) parent = tops.get(`user ${cr3}`) ?? root();
            else if (flow === 'call') parent = { kind: 'call', parent, above: above + 8n, slot: above, position: position - 1 };
            while (parent.kind !== 'root' && parent.slot < above) parent = parent.parent ?? parent;
            node = { kind: 'interrupt', parent, above, slot: rsp, position: position - 1 };
          } else {
            // The stub's first instruction has pushed a word already, and the CPU perhaps an error code.
            const slot = word(rsp + 8n) === state.rip ? rsp + 8n : rsp + 16n;
            if (word(slot) !== state.rip) throw new Error(`@${position}: no frame of a delivery at 0x${rsp.toString(16)}`);
            state.delivers = true;
            node = { kind: 'interrupt', parent: state.node, above: state.rsp, slot, position: position - 1 };
          }
        } else if (mnemonic === 'syscall' && isUserBefore && !isUser) {
          userNode = { kind: 'syscall', parent: state.node, above: state.rsp, slot: 1n << 64n, position: position - 1 };
          node = userNode;
        } else if (isTransit) node = state.node;
        else if (!isUser && state.rsp < 1n << 63n && userNode !== undefined) node = userNode;
        else if (flow === 'call') node = { kind: 'call', parent: node, above: rsp + 8n, slot: rsp, position: position - 1 };
      }
      // What lies below rsp is gone, on a stack that is known to be one.
      if (!isTransit) {
        while (node.kind !== 'root' && node.slot < rsp) node = node.parent ?? node;
        tops.set(region, node);
      }
      const key = `${isUser ? cr3 : 0n} ${rip}`;
      let instruction = decoded.get(key);
      if (instruction === undefined) decoded.set(key, (instruction = instructionAt(machine, rip)));
      state = { rip, rsp, node, instruction, delivers: false };
      isUserBefore = isUser;
      this.states.push(state);
    }
  }

  at(position: number): State {
    return this.states[position - this.from];
  }

  /** What made the frames there, innermost first; without those that were made before. */
  frames(position: number): readonly Node[] {
    const nodes: Node[] = [];
    for (let { node }: { node: Node | undefined } = this.at(position); node !== undefined && node.kind !== 'root'; node = node.parent) nodes.push(node);
    return nodes;
  }

  /** Where a step over from there leads; undefined: not in what was looked at. */
  over(position: number): number | undefined {
    const { node, instruction, delivers, rip } = this.at(position);
    if (delivers) {
      const back = this.next(position + 1, (state) => state.node === node);
      return back === undefined ? undefined : this.at(back).rip === rip ? this.over(back) : undefined;
    }
    if (/^rep/.test(instruction.mnemonic)) return this.next(position + 1, (state) => state.node === node && state.rip !== rip);
    return this.next(position + 1, (state) => isOuter(state.node, node));
  }

  /** Where this frame has returned. */
  out(position: number): number | undefined {
    const { node } = this.at(position);
    if (node.parent === undefined) return undefined;
    const { parent, above } = node;
    return this.next(position + 1, (state) => isOuter(state.node, parent) && state.rsp >= above);
  }

  private next(from: number, is: (state: State) => boolean): number | undefined {
    for (let position = from; position < this.from + this.states.length; position++) if (is(this.at(position))) return position;
    return undefined;
  }
}

function isOuter(node: Node, of: Node): boolean {
  for (let at: Node | undefined = of; at !== undefined; at = at.parent) if (at === node) return true;
  return false;
}
