/** Seeded random numbers (SFC32, Chris Doty-Humphrey): the same on every host. */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number, stream: number) {
    this.a = seed | 0;
    this.b = stream | 0;
    this.c = 0x9e3779b9 | 0;
    for (let i = 0; i < 12; i++) this.u32();
  }
  u32(): number {
    const t = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + t | 0;
    return t >>> 0;
  }
  /** 0 to n - 1 */
  below(n: number): number {
    return Math.floor((this.u32() / 4294967296) * n);
  }
  /** from to to, both included */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }
  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
}
