/* Arithmetic: SHA-256 and CRC-32 on integers, a matrix product in SSE, a series and square roots in x87. */
#include "work.h"

#define BUFFER_BYTES (64 * 1024)
#define MATRIX 32
#define SERIES 20000

static u8 buffer[BUFFER_BYTES];

/* FIPS 180-4, 4.2.2 */
static const u32 sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotate(u32 value, int by) { return value >> by | value << (32 - by); }

static void sha256_block(u32 state[8], const u8 *block) {
  u32 w[64];
  for (int i = 0; i < 16; i++) w[i] = __builtin_bswap32(((const u32 *)block)[i]);
  for (int i = 16; i < 64; i++) {
    u32 s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
    u32 s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  u32 a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    u32 t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + sha256_constants[i] + w[i];
    u32 t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

/* The blocks only: no padding, as nobody compares it with a digest from elsewhere. */
static u64 sha256(u64 sum) {
  u32 state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  for (u64 offset = 0; offset < BUFFER_BYTES; offset += 64) sha256_block(state, buffer + offset);
  return checksum(sum, state, sizeof state);
}

static u64 crc32(u64 sum) {
  static u32 table[256];
  for (u32 i = 0; i < 256; i++) {
    u32 value = i;
    for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
    table[i] = value;
  }
  u32 crc = ~0u;
  for (u64 i = 0; i < BUFFER_BYTES; i++) crc = crc >> 8 ^ table[(u8)crc ^ buffer[i]];
  return checksum(sum, &crc, sizeof crc);
}

typedef double pair __attribute__((vector_size(16)));

static u64 sse(u64 sum, u64 round) {
  static pair left[MATRIX][MATRIX / 2], right[MATRIX][MATRIX / 2], product[MATRIX][MATRIX / 2];
  for (int i = 0; i < MATRIX; i++)
    for (int j = 0; j < MATRIX / 2; j++) {
      left[i][j] = (pair){i + 0.5 * j, 1.0 / (double)(i + j + 1)};
      right[i][j] = (pair){(double)round - 0.25 * i, 3.0 / (double)(2 * i + j + 1)};
    }
  for (int i = 0; i < MATRIX; i++)
    for (int j = 0; j < MATRIX / 2; j++) {
      pair total = {0, 0};
      for (int k = 0; k < MATRIX; k++) {
        double factor = left[i][k / 2][k & 1];
        total += (pair){factor, factor} * right[k][j];
      }
      product[i][j] = total;
    }
  return checksum(sum, product, sizeof product);
}

static u64 x87(u64 sum, u64 round) {
  long double series = 0, root = 2;
  for (u64 i = 1; i <= SERIES; i++) {
    series += (i & 1 ? 1.0L : -1.0L) / (long double)(i + round);
    __asm__("fsqrt" : "+t"(root));
    root += series;
  }
  /* 80 bits; what pads them to 16 bytes is left out. */
  sum = checksum(sum, &series, 10);
  return checksum(sum, &root, 10);
}

u64 work_cpu(u64 size) {
  u64 sum = CHECKSUM_START;
  u32 noise = 12345;
  for (u64 i = 0; i < BUFFER_BYTES; i++) {
    noise = noise * 1103515245 + 12345;
    buffer[i] = (u8)(noise >> 16);
  }
  for (u64 round = 0; round < size * 2; round++) {
    buffer[round % BUFFER_BYTES]++;
    sum = sha256(sum);
    sum = crc32(sum);
    sum = sse(sum, round);
    sum = x87(sum, round);
  }
  return sum;
}
