/**
 * Prints engine/cpu/assembly/softfloat80-tables.ts: the constants of the x87 transcendentals, from 320-bit integer arithmetic.
 *
 *   node test/conformance/x87/tables.mjs > engine/cpu/assembly/softfloat80-tables.ts
 */
const BITS = 320n;
const ONE = 1n << BITS;

const atanInverse = (n) => { // atan(1 / n)
  let term = ONE / n, sum = 0n;
  for (let k = 1n; term !== 0n; k += 2n, term /= n * n) sum += (k & 2n ? -term : term) / k;
  return sum;
};
const atan = (num, den) => { // num / den <= 1, by halving the angle until the series is quick
  if (num === 0n) return 0n;
  let x = num * ONE / den;
  let doublings = 0n;
  while (x > ONE >> 8n) {
    // tan(a / 2) = x / (1 + sqrt(1 + x^2))
    x = x * ONE / (ONE + sqrt(ONE * ONE + x * x));
    doublings++;
  }
  let term = x, sum = 0n;
  const square = x * x >> BITS;
  for (let k = 1n; term !== 0n; k += 2n, term = term * square >> BITS) sum += (k & 2n ? -term : term) / k;
  return sum << doublings;
};
const sqrt = (n) => {
  let r = 1n << BigInt(n.toString(2).length / 2 + 1 | 0);
  for (;;) {
    const next = (r + n / r) >> 1n;
    if (next >= r) return r;
    r = next;
  }
};
const logRatio = (num, den) => { // ln(num / den) for a ratio near 1 to 2
  const s = (num - den) * ONE / (num + den);
  const square = s * s >> BITS;
  let term = s, sum = 0n;
  for (let k = 1n; term !== 0n && term !== -1n; k += 2n, term = term * square >> BITS) sum += term / k;
  return sum * 2n;
};
const exp = (x) => {
  let term = ONE, sum = 0n;
  for (let k = 1n; term !== 0n; k++) {
    sum += term;
    term = (term * x >> BITS) / k;
  }
  return sum;
};

const pi = 4n * (4n * atanInverse(5n) - atanInverse(239n));
const ln2 = logRatio(2n, 1n);
const fixed127 = (x) => { // 1.127 fixed point, rounded
  const v = (x + (1n << (BITS - 128n))) >> (BITS - 127n);
  return v >> 128n ? (1n << 128n) - 1n : v;
};
const words = (v) => `0x${(v >> 64n).toString(16).padStart(16, "0")}, 0x${(v & 0xffffffffffffffffn).toString(16).padStart(16, "0")}`;
const table = (name, comment, values) => {
  console.log(`\n/** ${comment} */`);
  console.log(`export const ${name}: usize = memory.data<u64>([`);
  for (const v of values) console.log(`  ${words(v)},`);
  console.log("], 16);");
};
const range = (n, f) => Array.from({ length: n }, (_, i) => f(BigInt(i)));
let factorial = 1n;

/** Multipliers that bring 1.i/64 near a power of two: c / 128. */
const multiplier = (i) => i === 0n ? 128n : (2n * 128n * 128n + 129n + 2n * i) / (2n * (129n + 2n * i));

console.log(`/**
 * Constants of the x87 transcendentals. Written by test/conformance/x87/tables.mjs; do not edit.
 * Two words each, high first, in 1.127 fixed point: the value is high:low / 2^127.
 */`);
table("HALF_PI", "pi / 2", [fixed127(pi / 2n)]);
table("THREE_QUARTERS_PI", "3 pi / 4, divided by two", [fixed127(pi * 3n / 8n)]);
table("LN_2", "ln 2, times two", [fixed127(ln2 * 2n)]);
table("TWO_OVER_LN_2", "2 / ln 2, divided by two", [fixed127(ONE * ONE / ln2)]);
table("INVERSE_FACTORIAL", "1 / n!, n = 0..35", range(36, (n) => fixed127(ONE / (n === 0n ? 1n : (factorial *= n)))));
table("INVERSE_ODD", "1 / (2k + 1), k = 0..15", range(16, (k) => fixed127(ONE / (2n * k + 1n))));
table("ATAN", "atan(i / 32), i = 0..32", range(33, (i) => fixed127(atan(i, 32n))));
table("EXP2", "2^(i / 32), i = -31..31, halved", range(63, (j) => fixed127(exp((j - 31n) * ln2 / 32n) / 2n)));
table("LOG2", "|log2(128 / c)|, or |log2(64 / c)| where c < 91, for c of LOG2_MULTIPLIER", range(64, (i) => {
  const c = multiplier(i);
  const v = (c < 91n ? logRatio(64n, c) : logRatio(128n, c)) * ONE / ln2;
  return fixed127(v < 0n ? -v : v);
}));
console.log("\n/** c: (1 + i / 64) c / 128 is near 1 */");
console.log(`export const LOG2_MULTIPLIER: usize = memory.data<u8>([`);
console.log(`  ${range(64, (i) => multiplier(i)).join(", ")},`);
console.log("]);");
