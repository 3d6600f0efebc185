import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as L from '../../cpu/layout.ts';
import type { EventSink } from '../../log/event-sink.ts';
import { HYPERCALL_REASON } from '../../log/events.ts';
import { pageHashes } from '../../machine/snapshot.ts';
import * as A from './abi.ts';
import { PAGE_BYTES, TYPE_L4, TYPE_NONE, TYPE_WRITABLE } from './page-types.ts';
import { SCRATCH, type TestDomain, newDomain, typesOf } from './testing.ts';

const WRITABLE = 0x8000_0000_0000_0003n;
const READ_ONLY = 0x8000_0000_0000_0001n;
const FRAMES = 4096;
const at = (frame: number): bigint => BigInt(frame * PAGE_BYTES);
/** Where the lab kernel is well past its start, and its shell not yet. */
const STARTED = 60_000;
/** Where `work fork 1` has made some children. */
const FORKED = 2_000_000;

function update(domain: TestDomain, pointer: number, value: bigint): number {
  return domain.call(A.HYPERVISOR_mmu_update, domain.place(BigInt(pointer), value), 1, 0);
}
function extended(domain: TestDomain, operation: number, argument: number | bigint): number {
  return domain.call(A.HYPERVISOR_mmuext_op, domain.place(BigInt(operation), BigInt(argument)), 1, 0);
}
/** A frame of zeros that the map of all RAM shows read-only. */
function newTable(domain: TestDomain, frame: number): number {
  domain.machine.core.writePhysical(frame * PAGE_BYTES, new Uint8Array(PAGE_BYTES));
  expect(update(domain, domain.entryOf(frame), at(frame) | READ_ONLY)).toBe(0);
  return frame;
}

describe('page tables', () => {
  it('no page table is ever mapped writable', () => {
    const domain = newDomain();
    for (const table of [domain.domain.root, domain.domain.root + 1, domain.domain.root + 3]) {
      const entry = domain.entryOf(table);
      const before = domain.word(entry);
      expect(update(domain, entry, at(table) | WRITABLE)).toBe(-A.PV_EBUSY);
      expect(domain.word(entry)).toBe(before);
    }
    // Nor is a frame that is writable ever a table.
    expect(extended(domain, A.MMUEXT_PIN_L1_TABLE, SCRATCH + 1)).toBe(-A.PV_EBUSY);
    const table = newTable(domain, SCRATCH + 1);
    expect(extended(domain, A.MMUEXT_PIN_L1_TABLE, table)).toBe(0);
    expect(update(domain, domain.entryOf(table), at(table) | WRITABLE)).toBe(-A.PV_EBUSY);
    expect(extended(domain, A.MMUEXT_UNPIN_TABLE, table)).toBe(0);
    expect(update(domain, domain.entryOf(table), at(table) | WRITABLE)).toBe(0);
    expect(domain.vmm.types.typeOf(table)).toBe(TYPE_WRITABLE);
  });

  it('entries name frames that exist, and nothing but small pages', () => {
    const domain = newDomain();
    const table = newTable(domain, SCRATCH + 1);
    expect(extended(domain, A.MMUEXT_PIN_L1_TABLE, table)).toBe(0);
    const entry = table * PAGE_BYTES + 8;
    for (const bad of [at(FRAMES) | 3n, at(SCRATCH) | 0x83n, at(SCRATCH) | (1n << 45n) | 1n, 0x000f_ffff_ffff_f003n]) {
      expect(update(domain, entry, bad)).toBe(-A.PV_EINVAL);
      expect(domain.word(entry)).toBe(0n);
    }
    expect(update(domain, FRAMES * PAGE_BYTES, 0n)).toBe(-A.PV_EINVAL);
    expect(update(domain, entry + 1, 0n)).toBe(-A.PV_ENOSYS);
    // What the VMM writes is legal for a kernel at CPL 3: U is set, G is not.
    expect(update(domain, entry, at(SCRATCH) | 0x101n)).toBe(0);
    expect(domain.word(entry)).toBe(at(SCRATCH) | 5n);
  });

  it('a table with one bad entry stays what it was, and lets everything go', () => {
    const domain = newDomain();
    const before = typesOf(domain);
    const table = SCRATCH + 1;
    const bytes = new Uint8Array(PAGE_BYTES);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < 511; i++) view.setBigUint64(8 * i, at(SCRATCH + 2) | 3n, true);
    view.setBigUint64(511 * 8, at(domain.domain.root) | 3n, true);
    domain.machine.core.writePhysical(table * PAGE_BYTES, bytes);
    expect(update(domain, domain.entryOf(table), at(table) | READ_ONLY)).toBe(0);
    expect(extended(domain, A.MMUEXT_PIN_L1_TABLE, table)).toBe(-A.PV_EBUSY);
    expect(domain.vmm.types.typeOf(table)).toBe(TYPE_NONE);
    expect(update(domain, domain.entryOf(table), at(table) | WRITABLE)).toBe(0);
    expect(typesOf(domain)).toBe(before);
  });

  it('a base pointer is a level-4 table already, by a pin', () => {
    const domain = newDomain();
    const root = newTable(domain, SCRATCH + 1);
    for (const operation of [A.MMUEXT_NEW_BASEPTR, A.MMUEXT_NEW_USER_BASEPTR]) {
      expect(extended(domain, operation, root)).toBe(-A.PV_EINVAL);
      expect(extended(domain, operation, FRAMES)).toBe(-A.PV_EINVAL);
      expect(extended(domain, operation, domain.domain.root + 1)).toBe(-A.PV_EINVAL);
      expect(extended(domain, operation, 1n << 60n)).toBe(-A.PV_EINVAL);
    }
    expect(extended(domain, A.MMUEXT_PIN_L4_TABLE, root)).toBe(0);
    expect(extended(domain, A.MMUEXT_PIN_L4_TABLE, root)).toBe(-A.PV_EINVAL);
    expect(extended(domain, A.MMUEXT_NEW_USER_BASEPTR, root)).toBe(0);
    // Unpinned it stays a table while it is a base pointer.
    expect(extended(domain, A.MMUEXT_UNPIN_TABLE, root)).toBe(0);
    expect(extended(domain, A.MMUEXT_UNPIN_TABLE, root)).toBe(-A.PV_EINVAL);
    expect(update(domain, domain.entryOf(root), at(root) | WRITABLE)).toBe(-A.PV_EBUSY);
    expect(extended(domain, A.MMUEXT_NEW_USER_BASEPTR, 0)).toBe(0);
    expect(update(domain, domain.entryOf(root), at(root) | WRITABLE)).toBe(0);
  });

  it('checks no more in one hypercall than it says', () => {
    const domain = newDomain();
    // Three tables that lead 512 times to each other: a quarter of a million uses, but each is checked once.
    const [level1, level2, level3] = [1, 2, 3].map((i) => newTable(domain, SCRATCH + i));
    for (const [table, below] of [[level2, level1], [level3, level2]]) {
      const bytes = new Uint8Array(PAGE_BYTES);
      const view = new DataView(bytes.buffer);
      for (let i = 0; i < 512; i++) view.setBigUint64(8 * i, at(below) | 7n, true);
      domain.machine.core.writePhysical(table * PAGE_BYTES, bytes);
    }
    expect(extended(domain, A.MMUEXT_PIN_L3_TABLE, level3)).toBe(0);
    expect(domain.vmm.types.countOf(level1)).toBe(512);
    expect(domain.vmm.types.countOf(level2)).toBe(512);
    expect(extended(domain, A.MMUEXT_UNPIN_TABLE, level3)).toBe(0);
    expect([level1, level2, level3].map((table) => domain.vmm.types.countOf(table))).toEqual([0, 0, 0]);
  });
});

describe('what the log says of hypercalls on page tables', () => {
  const isTable = (type: number): boolean => type >= 1 && type <= TYPE_L4;

  interface Told { readonly number: number; readonly operations: number; readonly tables: number; readonly made: number }

  /** Runs `work fork 1`: of each such hypercall operations and tables told, and how many frames became tables by it, looked at in the types of all frames. */
  function told(revision: number): Told[] {
    const domain = newDomain({ commandLine: 'run="work fork 1; poweroff"', revision });
    const { vmm, machine } = domain;
    const ofTables = (number: number): boolean => [A.HYPERVISOR_mmu_update, A.HYPERVISOR_mmuext_op, A.HYPERVISOR_multicall].includes(number);
    const isTable = (frame: number): boolean => vmm.types.typeOf(frame) >= 1 && vmm.types.typeOf(frame) <= TYPE_L4;
    const made: number[] = [];
    const call = vmm.call.bind(vmm);
    vmm.call = (number, args, isNested) => {
      if (isNested || !ofTables(Number(number))) return call(number, args, isNested);
      const before = Array.from({ length: vmm.types.frames }, (_, frame) => isTable(frame));
      const result = call(number, args, isNested);
      made.push(before.filter((was, frame) => !was && isTable(frame)).length);
      return result;
    };
    const exits: { number: number; operations: number; tables: number }[] = [];
    const exit: EventSink['exit'] = (_position, _ripLo, _ripHi, reason, lo) => {
      if (ofTables(reason - HYPERCALL_REASON)) exits.push({ number: reason - HYPERCALL_REASON, operations: lo & 0xffff, tables: lo >>> 16 });
    };
    machine.attach(new Proxy({ exit } as EventSink, { get: (target, name) => Reflect.get(target, name) ?? (() => 0) }));
    for (let stop = machine.run(FORKED); stop.kind === 'idle'; stop = machine.run(FORKED)) machine.skipIdle(stop.ns);
    expect(made.length).toBe(exits.length);
    return exits.map((each, i) => ({ ...each, made: made[i] }));
  }
  const sum = (calls: readonly Told[], of: (call: Told) => number): number => calls.reduce((all, call) => all + of(call), 0);

  it('how many tables each validates, which is how many there are more', () => {
    const calls = told(3);
    expect(calls.filter(({ number, tables, made }) => number !== A.HYPERVISOR_multicall && tables !== made)).toEqual([]);
    // This kernel links none in multicalls.
    expect(sum(calls.filter(({ number }) => number === A.HYPERVISOR_multicall), ({ tables, made }) => tables + made)).toBe(0);
    for (const number of [A.HYPERVISOR_mmu_update, A.HYPERVISOR_mmuext_op]) expect(sum(calls.filter((call) => call.number === number), ({ tables }) => tables)).toBeGreaterThan(10);
  });

  describe('of a multicall', () => {
    interface Event { readonly kind: 'hypercall' | 'mark'; readonly number?: number; readonly lo?: number }
    /** The guest kernel makes one, as by VMCALL: what the log gets, RAX, and how many frames became tables. */
    function multicall(revision: number | undefined, calls: (domain: TestDomain, table: number) => readonly (readonly bigint[])[]): { readonly events: readonly Event[]; readonly result: bigint; readonly made: number } {
      const domain = newDomain({ ...(revision !== undefined && { revision }) });
      const { machine: { core }, machine, vmm } = domain;
      const table = newTable(domain, SCRATCH + 1);
      const words = (at: number, ...values: readonly bigint[]): void => values.forEach((value, i) => core.setBig(L.RAM + SCRATCH * PAGE_BYTES + at + 8 * i, BigInt.asUintN(64, value)));
      words(1024, BigInt(A.MMUEXT_PIN_L1_TABLE), BigInt(table), BigInt(domain.entryOf(SCRATCH + 2)), at(SCRATCH + 2) | READ_ONLY, BigInt(A.MMUEXT_UNPIN_TABLE), BigInt(table));
      words(2048, 0x6b72616dn);
      const list = calls(domain, table);
      list.forEach((call, i) => words(64 * i, call[0], 77n, ...call.slice(1), ...new Array<bigint>(7 - call.length).fill(0n)));
      const tables = (): number => typesOf(domain).split(' ').filter((each) => /:[1-4]x/.test(each)).length;
      const before = tables();
      const events: Event[] = [];
      const sink: Partial<EventSink> = { exit: (_position, _ripLo, _ripHi, reason, lo) => events.push({ kind: 'hypercall', number: reason - HYPERCALL_REASON, lo }), mark: () => events.push({ kind: 'mark' }) };
      machine.attach(new Proxy(sink as EventSink, { get: (target, name) => Reflect.get(target, name) ?? (() => 0) }));
      const register = (index: number, value: bigint): void => core.setBig(L.REGS + 8 * index, value);
      register(0, BigInt(A.HYPERVISOR_multicall));
      register(7, domain.va(SCRATCH));
      register(6, BigInt(list.length));
      vmm.hypercall();
      return { events, result: core.big(L.REGS), made: tables() - before };
    }
    const at1024 = (domain: TestDomain, offset: number): bigint => domain.va(SCRATCH, 1024 + offset);
    const PIN = (domain: TestDomain): readonly bigint[] => [BigInt(A.HYPERVISOR_mmuext_op), at1024(domain, 0), 1n];
    const UPDATE = (domain: TestDomain): readonly bigint[] => [BigInt(A.HYPERVISOR_mmu_update), at1024(domain, 16), 1n];
    const MARK = (domain: TestDomain): readonly bigint[] => [BigInt(A.HYPERVISOR_mark), domain.va(SCRATCH, 2048)];
    const number = A.HYPERVISOR_multicall;

    it('too, and its updates', () => {
      const { events, result, made } = multicall(undefined, (domain) => [UPDATE(domain), PIN(domain), UPDATE(domain)]);
      expect([result, made]).toEqual([0n, 1]);
      expect(events).toEqual([{ kind: 'hypercall', number, lo: 2 | (1 << 16) }]);
    });

    it('not if something in it is an event, which comes after it', () => {
      const { events, made } = multicall(undefined, (domain) => [PIN(domain), MARK(domain), UPDATE(domain)]);
      expect(made).toBe(1);
      expect(events).toEqual([{ kind: 'hypercall', number, lo: 1 }, { kind: 'mark' }]);
    });

    it('not before revision 4', () => {
      const { events, made } = multicall(3, (domain) => [UPDATE(domain), PIN(domain)]);
      expect(made).toBe(1);
      expect(events).toEqual([{ kind: 'hypercall', number, lo: 1 }]);
    });

    it('as it was when it began: an update of the list itself changes nothing', () => {
      // The frame of the list is no table: an mmu_update of it is a store, here of MARK over the second entry.
      const overwrite = (domain: TestDomain): readonly bigint[] => {
        domain.machine.core.setBig(L.RAM + SCRATCH * PAGE_BYTES + 1024 + 48, BigInt(SCRATCH * PAGE_BYTES + 64));
        domain.machine.core.setBig(L.RAM + SCRATCH * PAGE_BYTES + 1024 + 56, BigInt(A.HYPERVISOR_mark));
        return [BigInt(A.HYPERVISOR_mmu_update), at1024(domain, 48), 1n];
      };
      const lists = (domain: TestDomain): readonly (readonly bigint[])[] => [overwrite(domain), [BigInt(A.HYPERVISOR_xen_version), domain.va(SCRATCH, 2048)]];
      expect(multicall(undefined, lists).events).toEqual([{ kind: 'hypercall', number, lo: 1 }]);
      expect(multicall(3, lists).events).toEqual([{ kind: 'hypercall', number, lo: 1 }, { kind: 'mark' }]);
    });
  });

  it('until revision 3, how many they pin', () => {
    const [older, newer] = [told(2), told(3)];
    expect(older.map(({ number, operations, made }) => [number, operations, made])).toEqual(newer.map(({ number, operations, made }) => [number, operations, made]));
    expect(older.filter(({ number, tables }) => number !== A.HYPERVISOR_mmuext_op && tables > 0)).toEqual([]);
    expect(sum(older, ({ tables }) => tables)).toBeLessThan(sum(newer, ({ tables }) => tables));
  });
});

describe('batches', () => {
  it('stop at the first that is refused, and say how many were done', () => {
    const domain = newDomain();
    const entries = [SCRATCH + 1, SCRATCH + 2].map((frame) => BigInt(domain.entryOf(frame)));
    const list = domain.place(entries[0], at(SCRATCH + 1) | READ_ONLY, BigInt(domain.entryOf(domain.domain.root)), at(domain.domain.root) | WRITABLE, entries[1], at(SCRATCH + 2) | READ_ONLY, 99n);
    expect(domain.call(A.HYPERVISOR_mmu_update, list, 3, list + 48n)).toBe(-A.PV_EBUSY);
    expect(domain.word(SCRATCH * PAGE_BYTES + 48)).toBe(1n);
    expect(domain.word(Number(entries[0])) & 3n).toBe(1n);
    expect(domain.word(Number(entries[1])) & 3n).toBe(3n);
  });

  it('multicall: each has its result, and none is a multicall or an iret', () => {
    const domain = newDomain();
    const call = (number: number, ...args: bigint[]): bigint[] => [BigInt(number), 77n, ...args, ...new Array<bigint>(6 - args.length).fill(0n)];
    const list = domain.place(...call(A.HYPERVISOR_xen_version), ...call(A.HYPERVISOR_multicall, 0n, 1n), ...call(A.HYPERVISOR_iret), ...call(61), ...call(A.HYPERVISOR_stack_switch, 0n, 0x7000n));
    expect(domain.call(A.HYPERVISOR_multicall, list, 5)).toBe(0);
    const results = [0, 1, 2, 3, 4].map((i) => BigInt.asIntN(64, domain.word(SCRATCH * PAGE_BYTES + 64 * i + 8)));
    expect(results).toEqual([BigInt(A.PV_VERSION << 16), BigInt(-A.PV_EINVAL), BigInt(-A.PV_ENOSYS), BigInt(-A.PV_ENOSYS), 0n]);
    expect(domain.call(A.HYPERVISOR_multicall, list, A.PV_MULTICALLS_MAX + 1)).toBe(-A.PV_EINVAL);
  });

  it('what is out of reach is a fault, and nothing is written where the guest may not write', () => {
    const domain = newDomain();
    for (const list of [0n, 0x8000_0000_0000_0000n, 0xffff_ffff_c000_0000n, 0xffff_ffff_ffff_fff8n]) {
      expect(domain.call(A.HYPERVISOR_mmu_update, list, 1, 0)).toBe(-A.PV_EFAULT);
      expect(domain.call(A.HYPERVISOR_multicall, list, 1)).toBe(-A.PV_EFAULT);
      expect(domain.call(A.HYPERVISOR_set_trap_table, list)).toBe(-A.PV_EFAULT);
      expect(domain.call(A.HYPERVISOR_mark, list)).toBe(-A.PV_EFAULT);
      expect(domain.call(A.HYPERVISOR_event_channel_op, A.EVTCHNOP_send, list)).toBe(-A.PV_EFAULT);
    }
    const table = domain.va(domain.domain.root);
    const before = domain.word(domain.domain.root * PAGE_BYTES);
    expect(domain.call(A.HYPERVISOR_mmu_update, domain.place(0n), 0, table)).toBe(-A.PV_EFAULT);
    expect(domain.word(domain.domain.root * PAGE_BYTES)).toBe(before);
  });
});

describe('rings', () => {
  const bind = (domain: TestDomain, operation: number, from: number): number => {
    const result = domain.call(A.HYPERVISOR_event_channel_op, operation, domain.place(BigInt(from)));
    return result < 0 ? result : Number(domain.word(SCRATCH * PAGE_BYTES) >> 32n);
  };
  const send = (domain: TestDomain, port: number): number => domain.call(A.HYPERVISOR_event_channel_op, A.EVTCHNOP_send, domain.place(BigInt(port)));
  const put32 = (domain: TestDomain, paddr: number, value: number): void => domain.machine.core.writePhysical(paddr, new Uint8Array(Uint32Array.of(value).buffer));

  it('ports are given out once each, and only for what there is', () => {
    const domain = newDomain();
    expect(bind(domain, A.EVTCHNOP_bind_virq, A.VIRQ_TIMER)).toBe(1);
    expect(bind(domain, A.EVTCHNOP_bind_interdomain, A.PV_PORT_CONSOLE)).toBe(2);
    expect(bind(domain, A.EVTCHNOP_bind_interdomain, A.PV_PORT_BLOCK)).toBe(-A.PV_ENOENT);
    expect(bind(domain, A.EVTCHNOP_bind_virq, 5)).toBe(-A.PV_ENOENT);
    expect([send(domain, 1), send(domain, 3), send(domain, 64), send(domain, 0)]).toEqual([-A.PV_EINVAL, -A.PV_EINVAL, -A.PV_EINVAL, -A.PV_EINVAL]);
    for (let port = 3; port < A.PV_PORTS; port++) expect(bind(domain, A.EVTCHNOP_bind_virq, A.VIRQ_TIMER)).toBe(port);
    expect(bind(domain, A.EVTCHNOP_bind_virq, A.VIRQ_TIMER)).toBe(-A.PV_ENOSPC);
    expect(domain.call(A.HYPERVISOR_event_channel_op, A.EVTCHNOP_close, domain.place(7n))).toBe(0);
    expect(domain.call(A.HYPERVISOR_event_channel_op, A.EVTCHNOP_close, domain.place(7n))).toBe(-A.PV_EINVAL);
    expect(bind(domain, A.EVTCHNOP_bind_virq, A.VIRQ_TIMER)).toBe(7);
  });

  it('console: bytes go out when the event is sent, around the end of the ring; a counter that runs away is cut', () => {
    const domain = newDomain();
    const port = bind(domain, A.EVTCHNOP_bind_interdomain, A.PV_PORT_CONSOLE);
    const page = domain.domain.console * PAGE_BYTES;
    const ring = (text: string, from: number): void => {
      for (let i = 0; i < text.length; i++) domain.machine.core.writePhysical(page + A.CONSOLE_OUT + ((from + i) % A.CONSOLE_OUT_BYTES), Uint8Array.of(text.charCodeAt(i)));
    };
    ring('one', 0);
    put32(domain, page + A.CONSOLE_OUT_PROD, 3);
    expect(domain.output()).toBe('');
    expect(send(domain, port)).toBe(0);
    expect(domain.output()).toBe('one');
    const long = `${'x'.repeat(2040)}across`;
    ring(long, 3);
    put32(domain, page + A.CONSOLE_OUT_PROD, 3 + long.length);
    send(domain, port);
    expect(domain.output()).toBe(`one${long}`);
    put32(domain, page + A.CONSOLE_OUT_PROD, 0x9000_0000);
    send(domain, port);
    expect(domain.output().length).toBe(3 + long.length + A.CONSOLE_OUT_BYTES);
    expect(Number(domain.word(page + A.CONSOLE_OUT_CONS) & 0xffff_ffffn)).toBe(0x9000_0000);
  });

  it('console: input waits in the ring, and the guest is told', () => {
    const domain = newDomain();
    const port = bind(domain, A.EVTCHNOP_bind_interdomain, A.PV_PORT_CONSOLE);
    const page = domain.domain.console * PAGE_BYTES;
    expect(domain.machine.consoleSpace).toBe(A.CONSOLE_IN_BYTES);
    domain.machine.receiveConsole(Uint8Array.of(104, 105));
    expect(domain.machine.consoleSpace).toBe(A.CONSOLE_IN_BYTES - 2);
    expect([...domain.machine.core.readPhysical(page, 2)]).toEqual([104, 105]);
    expect(domain.word(domain.domain.sharedInfo * PAGE_BYTES + A.SHARED_PENDING)).toBe(1n << BigInt(port));
    // A counter that the guest has broken is no room.
    put32(domain, page + A.CONSOLE_IN_CONS, 77);
    expect(domain.machine.consoleSpace).toBe(0);
  });

  const image = Uint8Array.from({ length: 16 * 512 }, (_, i) => (i * 7 + (i >> 9)) & 0xff);
  const disk = { byteLength: image.length, read: (offset: number, length: number) => image.slice(offset, offset + length) };
  interface Piece { readonly frame: number; readonly first: number; readonly last: number }
  const request = (domain: TestDomain, slot: number, operation: number, sector: bigint, pieces: readonly Piece[], count = pieces.length): void => {
    const bytes = new Uint8Array(A.BLOCK_ENTRY_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint8(A.BLOCK_OPERATION, operation);
    view.setUint8(A.BLOCK_SEGMENTS, count);
    view.setBigUint64(A.BLOCK_ID, 0xabcdef0123456789n + BigInt(slot), true);
    view.setBigUint64(A.BLOCK_SECTOR, sector, true);
    pieces.forEach(({ frame, first, last }, i) => {
      view.setUint32(A.BLOCK_SEGMENT + 8 * i, frame, true);
      view.setUint8(A.BLOCK_SEGMENT + 8 * i + 4, first);
      view.setUint8(A.BLOCK_SEGMENT + 8 * i + 5, last);
    });
    const page = domain.domain.block! * PAGE_BYTES;
    domain.machine.core.writePhysical(page + A.BLOCK_RING + (slot % A.BLOCK_ENTRIES) * A.BLOCK_ENTRY_BYTES, bytes);
    put32(domain, page + A.BLOCK_REQ_PROD, slot + 1);
  };
  const status = (domain: TestDomain, slot: number): { id: bigint; status: number } => {
    const at = domain.domain.block! * PAGE_BYTES + A.BLOCK_RING + (slot % A.BLOCK_ENTRIES) * A.BLOCK_ENTRY_BYTES;
    return { id: domain.word(at), status: new DataView(domain.machine.core.readPhysical(at, 16).buffer).getInt16(A.BLOCK_RSP_STATUS, true) };
  };
  const pass = (domain: TestDomain, ns: number): void => domain.machine.scheduler.fireDue(domain.machine.nowNs() + ns);

  it('block: what is written is read back, in the time of the virtio disk', () => {
    const domain = newDomain({ disk });
    const port = bind(domain, A.EVTCHNOP_bind_interdomain, A.PV_PORT_BLOCK);
    const data = SCRATCH + 1;
    request(domain, 0, A.BLOCK_READ, 2n, [{ frame: data, first: 1, last: 2 }]);
    expect(send(domain, port)).toBe(0);
    expect(domain.machine.scheduler.nextNs() - domain.machine.nowNs()).toBe(100_000 + 1024);
    pass(domain, 200_000);
    expect(status(domain, 0)).toEqual({ id: 0xabcdef0123456789n, status: A.BLOCK_OKAY });
    expect(domain.machine.core.readPhysical(data * PAGE_BYTES + 512, 1024)).toEqual(image.slice(1024, 2048));
    domain.machine.core.writePhysical(data * PAGE_BYTES, new Uint8Array(512).fill(0x5a));
    request(domain, 1, A.BLOCK_WRITE, 15n, [{ frame: data, first: 0, last: 0 }]);
    send(domain, port);
    pass(domain, 200_000);
    request(domain, 2, A.BLOCK_READ, 15n, [{ frame: data, first: 7, last: 7 }]);
    send(domain, port);
    pass(domain, 400_000);
    expect(status(domain, 2).status).toBe(A.BLOCK_OKAY);
    expect(domain.machine.core.readPhysical(data * PAGE_BYTES + 7 * 512, 512)).toEqual(new Uint8Array(512).fill(0x5a));
    expect(image.includes(0x5a, 15 * 512) && image.slice(15 * 512).every((byte) => byte === 0x5a)).toBe(false);
  });

  it('block: bad requests are answered with an error, and hold nothing', () => {
    const domain = newDomain({ disk });
    const port = bind(domain, A.EVTCHNOP_bind_interdomain, A.PV_PORT_BLOCK);
    const before = typesOf(domain);
    const good = { frame: SCRATCH + 1, first: 0, last: 7 };
    const bad: readonly (readonly [number, bigint, readonly Piece[], number?])[] = [
      [A.BLOCK_READ, 9n, [good]], [A.BLOCK_READ, (1n << 63n) + 5n, [good]], [7, 0n, [good]], [A.BLOCK_READ, 0n, []], [A.BLOCK_READ, 0n, [good], 200],
      [A.BLOCK_READ, 0n, [{ ...good, last: 8 }]], [A.BLOCK_READ, 0n, [{ ...good, first: 3, last: 2 }]], [A.BLOCK_WRITE, 0n, [good, { ...good, frame: FRAMES }]], [A.BLOCK_READ, 0n, [good, { ...good, frame: domain.domain.root }]],
    ];
    bad.forEach(([operation, sector, pieces, count], slot) => request(domain, slot, operation, sector, pieces, count));
    send(domain, port);
    expect(typesOf(domain)).toBe(before);
    pass(domain, 10_000_000);
    expect(bad.map((_, slot) => status(domain, slot).status)).toEqual(bad.map(() => A.BLOCK_ERROR));
    // More requests than the ring has places.
    put32(domain, domain.domain.block! * PAGE_BYTES + A.BLOCK_REQ_PROD, 0x4000_0000);
    expect(send(domain, port)).toBe(0);
    expect(domain.machine.scheduler.nextNs()).toBe(Infinity);
  });

  it('block: a frame that a request holds becomes no page table until it is answered', () => {
    const domain = newDomain({ disk });
    const port = bind(domain, A.EVTCHNOP_bind_interdomain, A.PV_PORT_BLOCK);
    const frame = newTable(domain, SCRATCH + 1);
    request(domain, 0, A.BLOCK_READ, 0n, [{ frame, first: 0, last: 0 }]);
    send(domain, port);
    expect(extended(domain, A.MMUEXT_PIN_L1_TABLE, frame)).toBe(-A.PV_EBUSY);
    pass(domain, 200_000);
    domain.machine.core.writePhysical(frame * PAGE_BYTES, new Uint8Array(PAGE_BYTES));
    expect(extended(domain, A.MMUEXT_PIN_L1_TABLE, frame)).toBe(0);
  });
});

describe('state', () => {
  it('a run goes on from a saved state as it went on, with the uses of frames derived anew', () => {
    const commandLine = 'run="work fork 1; poweroff"';
    const first = newDomain({ commandLine });
    // In kernel and user mode, between and within system calls.
    for (const position of [30_000, 1_234_567, 3_456_789, 6_000_001]) {
      run(first, position);
      const state = first.machine.save();
      const ram = first.machine.core.readPhysical(0, first.machine.core.ramBytes);
      const pages = { hashes: pageHashes(first.machine.core), read: (frame: number) => ram.slice(frame * PAGE_BYTES, (frame + 1) * PAGE_BYTES) };
      const types = typesOf(first);
      const second = newDomain({ commandLine });
      second.machine.restore(state, pages);
      expect(typesOf(second)).toBe(types);
      expect(second.machine.digest()).toEqual(first.machine.digest());
      run(first, position + 300_000);
      run(second, position + 300_000);
      expect(second.machine.digest()).toEqual(first.machine.digest());
      expect(typesOf(second)).toBe(typesOf(first));
    }
  });

  it('is the same whether the machine stops everywhere, is watched, or does neither', () => {
    const commandLine = 'run="work fork 1; poweroff"';
    const [straight, stepped, watched] = [newDomain({ commandLine }), newDomain({ commandLine }), newDomain({ commandLine })];
    // Over some system calls, faults and events, when the first child has been made.
    for (let to = 100_000; straight.machine.core.counts().systemCalls < 5; to += 1000) run(straight, to);
    const from = straight.machine.position();
    const before = straight.machine.core.counts().systemCalls;
    const until = from + 60_000;
    for (const domain of [stepped, watched]) run(domain, from);
    run(straight, until);
    expect(straight.machine.core.counts().systemCalls).toBeGreaterThan(before);
    for (let position = from; position < until; position++) run(stepped, position + 1);
    let starts = 0;
    let accesses = 0;
    watched.machine.observe({ start: () => ++starts > 0 && starts % 3 === 0, access: () => ++accesses % 5 === 0 });
    watched.machine.core.observeCode([], true);
    watched.machine.core.watchFrame(watched.domain.sharedInfo, L.WATCH_READ | L.WATCH_WRITE);
    while (watched.machine.position() < until) run(watched, until);
    expect(starts).toBeGreaterThan(100);
    expect(accesses).toBeGreaterThan(20);
    expect(stepped.machine.digest()).toEqual(straight.machine.digest());
    expect(watched.machine.digest()).toEqual(straight.machine.digest());
  });

  const run = (domain: TestDomain, until: number): void => {
    for (;;) {
      const stop = domain.machine.run(until);
      if (stop.kind !== 'idle') return;
      domain.machine.skipIdle(stop.ns);
    }
  };
});

/** What the rules are for, looked at without the VMM's help: every table leads to frames of the right type, and none is mapped writable. */
function expectSound({ vmm, word }: TestDomain): void {
  const { types } = vmm;
  for (let frame = 0; frame < types.frames; frame++) {
    const level = types.typeOf(frame);
    if (level === TYPE_NONE || level === TYPE_WRITABLE) continue;
    for (let i = 0; i < 512; i++) {
      const entry = word(frame * PAGE_BYTES + 8 * i);
      if ((entry & 1n) === 0n) continue;
      const below = Number((entry >> 12n) & 0xff_ffff_ffffn);
      const isSound = below < types.frames && (level > 1 ? types.typeOf(below) === level - 1 : (entry & 2n) === 0n || types.typeOf(below) === TYPE_WRITABLE);
      if (!isSound) throw new Error(`entry ${i} of frame ${frame}, a table of level ${level}, is 0x${entry.toString(16)}, and that frame has the type ${types.typeOf(below)}`);
    }
  }
}

describe('a hostile guest', () => {
  it('VMCALL of a program is no instruction', () => {
    const domain = newDomain({ commandLine: 'run="work fork 1; poweroff"', runTo: STARTED });
    const { core } = domain.machine;
    while (!domain.vmm.isProgram) domain.machine.run(domain.machine.position() + 50);
    core.writePhysical(Number(core.exports.inspectAddress(core.big(L.RIP))), Uint8Array.of(0x0f, 0x01, 0xc1));
    core.setBig(L.REGS, BigInt(A.HYPERVISOR_sched_op));
    domain.machine.run(domain.machine.position() + 20_000);
    expect(domain.output()).toMatch(/: #UD at [0-9a-f]+, error 0, address 0: ended|PANIC: init ended with status 134/);
  });

  const word = fc.oneof(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.bigInt({ min: 0n, max: 600n }), fc.integer({ min: 0, max: 4200 }).map((frame) => BigInt(frame) << 12n), fc.constantFrom(0n, 0xffff_ffff_8001_0000n, 0xffff_ffff_8001_0ff8n, 0xffff_ffff_8010_1000n, 0xffff_ffff_ffff_fff8n, 1n << 63n));
  const frame = fc.oneof(fc.constantFrom(0x11, 0x12, 0x13, 0x14), fc.integer({ min: 3950, max: 4100 }));
  const entry = fc.tuple(frame, fc.constantFrom(0n, 1n, 3n, 7n, 0x83n, 0x27n, (1n << 63n) | 3n, 1n << 50n)).map(([n, flags]) => (BigInt(n) << 12n) | flags);
  const number = fc.oneof(fc.constantFrom(A.HYPERVISOR_mmu_update, A.HYPERVISOR_mmuext_op, A.HYPERVISOR_multicall, A.HYPERVISOR_event_channel_op), fc.integer({ min: 0, max: 70 }));
  const scratch = fc.oneof(
    fc.array(word, { maxLength: 24 }),
    fc.array(fc.tuple(frame, fc.integer({ min: 0, max: 511 }), entry), { maxLength: 12 }).map((list) => list.flatMap(([n, index, value]) => [BigInt(n * PAGE_BYTES + index * 8), value])),
    fc.array(fc.tuple(fc.integer({ min: 0, max: 16 }), frame), { maxLength: 12 }).map((list) => list.flatMap(([operation, n]) => [BigInt(operation), BigInt(n)])),
  );

  it('random hypercalls never reach outside the rules', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ number, scratch, args: fc.array(word, { maxLength: 5 }), isList: fc.boolean() }), { maxLength: 30 }), (calls) => {
        const domain = newDomain({ runTo: STARTED });
        for (const call of calls) {
          const list = domain.place(...call.scratch);
          const args = call.isList ? [list, BigInt(call.scratch.length >> 1), ...call.args] : call.args;
          expect(Number.isInteger(domain.call(call.number, ...args))).toBe(true);
        }
        // The uses that were counted step by step are those that memory shows.
        const counted = typesOf(domain);
        domain.vmm.restore(domain.vmm.save());
        expect(typesOf(domain)).toBe(counted);
        expectSound(domain);
      }),
      { numRuns: 25 },
    );
  });

  it('random registers at a VMCALL end in a result or a crash of the domain', () => {
    fc.assert(
      fc.property(fc.record({ number, registers: fc.array(word, { minLength: 16, maxLength: 16 }), scratch }), ({ number: rax, registers, scratch: words }) => {
        const domain = newDomain({ runTo: STARTED });
        domain.place(...words);
        const { core } = domain.machine;
        registers.forEach((value, i) => core.setBig(L.REGS + 8 * i, value));
        core.setBig(L.REGS, BigInt(rax));
        // vmcall; jmp to it
        core.writePhysical(0x10_1000, Uint8Array.of(0x0f, 0x01, 0xc1, 0xeb, 0xfb));
        core.setBig(L.RIP, 0xffff_ffff_8010_1000n);
        const stop = domain.machine.run(domain.machine.position() + 200);
        expect(['limit', 'end', 'idle']).toContain(stop.kind);
        const counted = typesOf(domain);
        domain.vmm.restore(domain.vmm.save());
        expect(typesOf(domain)).toBe(counted);
        expectSound(domain);
      }),
      { numRuns: 25 },
    );
  });
});
