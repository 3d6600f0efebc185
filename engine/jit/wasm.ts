/** The little of the WebAssembly binary format (core specification 2.0, chapter 5) that the compiler writes. */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;
/** The type of a block that leaves nothing. */
export const VOID = 0x40;

/** Opcodes, by the names of the specification. */
export const OP = {
  unreachable: 0x00, block: 0x02, loop: 0x03, if: 0x04, else: 0x05, end: 0x0b, br: 0x0c, brIf: 0x0d, brTable: 0x0e, return: 0x0f, call: 0x10, select: 0x1b, drop: 0x1a,
  localGet: 0x20, localSet: 0x21, localTee: 0x22,
  i32Load: 0x28, i64Load: 0x29, i32Load8U: 0x2d, i32Load16U: 0x2f, i64Load8U: 0x31, i64Load16U: 0x33, i64Load32U: 0x35,
  i32Store: 0x36, i64Store: 0x37, i64Store8: 0x3c, i64Store16: 0x3d, i64Store32: 0x3e,
  i32Const: 0x41, i64Const: 0x42,
  i32Eqz: 0x45, i32Eq: 0x46, i32Ne: 0x47, i32LtS: 0x48, i32LtU: 0x49, i32LeS: 0x4c, i32LeU: 0x4d,
  i64Eqz: 0x50, i64Eq: 0x51, i64Ne: 0x52, i64LtS: 0x53, i64LtU: 0x54, i64GtU: 0x56, i64LeS: 0x57, i64LeU: 0x58, i64GeS: 0x59, i64GeU: 0x5a,
  i32Popcnt: 0x69, i32Add: 0x6a, i32Sub: 0x6b, i32Mul: 0x6c, i32And: 0x71, i32Or: 0x72, i32Xor: 0x73, i32Shl: 0x74, i32ShrS: 0x75, i32ShrU: 0x76, i32Rotl: 0x77, i32Rotr: 0x78,
  i64Clz: 0x79, i64Ctz: 0x7a, i64Popcnt: 0x7b, i64Add: 0x7c, i64Sub: 0x7d, i64Mul: 0x7e, i64DivU: 0x80, i64RemU: 0x82, i64And: 0x83, i64Or: 0x84, i64Xor: 0x85, i64Shl: 0x86, i64ShrS: 0x87, i64ShrU: 0x88,
  i64Rotl: 0x89, i64Rotr: 0x8a,
  i32WrapI64: 0xa7, i64ExtendI32S: 0xac, i64ExtendI32U: 0xad, i64Extend8S: 0xc2, i64Extend16S: 0xc3, i64Extend32S: 0xc4,
  i32Extend8S: 0xc0, i32Extend16S: 0xc1,
} as const;

/** Bytes that grow. */
export class Bytes {
  data: Uint8Array;
  length = 0;

  constructor(room: number) {
    this.data = new Uint8Array(room);
  }

  byte(value: number): void {
    if (this.length === this.data.length) this.grow(1);
    this.data[this.length++] = value;
  }
  /** Unsigned LEB128. */
  u32(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }
  /** Signed LEB128 of a 32-bit number. */
  s32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }
  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }
  append(other: Bytes): void {
    if (this.length + other.length > this.data.length) this.grow(other.length);
    this.data.set(other.data.subarray(0, other.length), this.length);
    this.length += other.length;
  }
  name(text: string): void {
    this.u32(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }
  clear(): void {
    this.length = 0;
  }
  private grow(by: number): void {
    const next = new Uint8Array(Math.max(this.data.length * 2, this.length + by));
    next.set(this.data.subarray(0, this.length));
    this.data = next;
  }
}

/** The body of a function that is being written. */
export class Code extends Bytes {
  op(opcode: number): this {
    this.byte(opcode);
    return this;
  }
  get(local: number): this {
    this.byte(OP.localGet);
    this.u32(local);
    return this;
  }
  set(local: number): this {
    this.byte(OP.localSet);
    this.u32(local);
    return this;
  }
  tee(local: number): this {
    this.byte(OP.localTee);
    this.u32(local);
    return this;
  }
  i32(value: number): this {
    this.byte(OP.i32Const);
    this.s32(value);
    return this;
  }
  /** A 64-bit constant that is a 32-bit number, sign-extended. */
  i64(value: number): this {
    this.byte(OP.i64Const);
    this.s32(value);
    return this;
  }
  i64Wide(value: bigint): this {
    this.byte(OP.i64Const);
    this.s64(value);
    return this;
  }
  /** One that is not negative, below 2^53. */
  i64Number(value: number): this {
    this.byte(OP.i64Const);
    let rest = value;
    for (; rest >= 64; rest = Math.floor(rest / 128)) this.byte((rest % 128) | 0x80);
    this.byte(rest);
    return this;
  }
  /** A load or store; alignment is only a hint. */
  memory(opcode: number, offset: number): this {
    this.byte(opcode);
    this.byte(0);
    this.u32(offset);
    return this;
  }
  /** Bytes that belong to the instruction before: numbers of lanes. */
  immediates(...bytes: readonly number[]): this {
    for (const each of bytes) this.byte(each);
    return this;
  }
  simd(opcode: number): this {
    this.byte(0xfd);
    this.u32(opcode);
    return this;
  }
  simdMemory(opcode: number, offset: number): this {
    this.simd(opcode);
    this.byte(0);
    this.u32(offset);
    return this;
  }
  call(func: number): this {
    this.byte(OP.call);
    this.u32(func);
    return this;
  }
  block(type: number): this {
    this.byte(OP.block);
    this.byte(type);
    return this;
  }
  loop(): this {
    this.byte(OP.loop);
    this.byte(VOID);
    return this;
  }
  if(type: number = VOID): this {
    this.byte(OP.if);
    this.byte(type);
    return this;
  }
  else(): this {
    this.byte(OP.else);
    return this;
  }
  end(): this {
    this.byte(OP.end);
    return this;
  }
  br(depth: number): this {
    this.byte(OP.br);
    this.u32(depth);
    return this;
  }
  brIf(depth: number): this {
    this.byte(OP.brIf);
    this.u32(depth);
    return this;
  }
}

export interface Signature {
  readonly parameters: readonly number[];
  readonly results: readonly number[];
}
export interface Import {
  readonly name: string;
  readonly signature: Signature;
}
export interface Func {
  readonly signature: Signature;
  /** Numbers of locals behind the parameters: pairs of count and type. */
  readonly locals: readonly (readonly [number, number])[];
  readonly body: Bytes;
  /** By which it is exported. */
  readonly name: string;
}

/** A module that imports `env.memory` and functions, and exports its own. */
export function moduleOf(imports: readonly Import[], functions: readonly Func[], memoryPages: number): Uint8Array<ArrayBuffer> {
  const signatures: Signature[] = [];
  const typeOf = ({ parameters, results }: Signature): number => {
    const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((each, i) => each === b[i]);
    const known = signatures.findIndex((each) => same(each.parameters, parameters) && same(each.results, results));
    return known >= 0 ? known : signatures.push({ parameters, results }) - 1;
  };
  const importTypes = imports.map(({ signature }) => typeOf(signature));
  const functionTypes = functions.map(({ signature }) => typeOf(signature));
  const out = new Bytes(functions.reduce((sum, { body }) => sum + body.length, 1 << 12));
  for (const byte of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(byte);
  const contents = new Bytes(1 << 10);
  const section = (id: number, count: number, write: () => void): void => {
    contents.clear();
    contents.u32(count);
    write();
    out.byte(id);
    out.u32(contents.length);
    out.append(contents);
  };
  section(1, signatures.length, () => {
    for (const { parameters, results } of signatures) {
      contents.byte(0x60);
      for (const types of [parameters, results]) {
        contents.u32(types.length);
        for (const each of types) contents.byte(each);
      }
    }
  });
  section(2, imports.length + 1, () => {
    contents.name('env');
    contents.name('memory');
    for (const byte of [2, 1]) contents.byte(byte);
    contents.u32(memoryPages);
    contents.u32(memoryPages);
    imports.forEach(({ name }, i) => {
      contents.name('env');
      contents.name(name);
      contents.byte(0);
      contents.u32(importTypes[i]);
    });
  });
  section(3, functions.length, () => {
    for (const each of functionTypes) contents.u32(each);
  });
  section(7, functions.length, () => {
    functions.forEach(({ name }, i) => {
      contents.name(name);
      contents.byte(0);
      contents.u32(imports.length + i);
    });
  });
  const head = new Bytes(64);
  section(10, functions.length, () => {
    for (const { locals, body } of functions) {
      head.clear();
      head.u32(locals.length);
      for (const [count, type] of locals) {
        head.u32(count);
        head.byte(type);
      }
      contents.u32(head.length + body.length);
      contents.append(head);
      contents.append(body);
    }
  });
  return out.data.slice(0, out.length);
}
