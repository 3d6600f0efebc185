/* The C library's memory and string functions, for the kernel and for user programs. The string instructions do the
 * work: short code, and they are what real kernels use on a CPU with fast strings. */
#include "string.h"

void *memcpy(void *to, const void *from, u64 length) {
  void *result = to;
  u64 words = length >> 3;
  u64 rest = length & 7;
  __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest) : : "memory");
  return result;
}

void *memmove(void *to, const void *from, u64 length) {
  if ((u64)to - (u64)from >= length) return memcpy(to, from, length);
  u8 *target = (u8 *)to + length - 1;
  const u8 *source = (const u8 *)from + length - 1;
  __asm__ volatile("std\n\trep movsb\n\tcld" : "+D"(target), "+S"(source), "+c"(length) : : "memory");
  return to;
}

void *memset(void *to, int value, u64 length) {
  void *result = to;
  u64 pattern = (u64)(u8)value * 0x0101010101010101ul;
  u64 words = length >> 3;
  u64 rest = length & 7;
  __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(pattern) : "memory");
  return result;
}

int memcmp(const void *left, const void *right, u64 length) {
  const u8 *a = left, *b = right;
  for (u64 i = 0; i < length; i++)
    if (a[i] != b[i]) return a[i] - b[i];
  return 0;
}

u64 strlen(const char *text) {
  u64 length = 0;
  while (text[length]) length++;
  return length;
}

int strcmp(const char *left, const char *right) {
  while (*left && *left == *right) left++, right++;
  return (u8)*left - (u8)*right;
}

int strncmp(const char *left, const char *right, u64 length) {
  for (; length; length--, left++, right++)
    if (*left != *right || !*left) return (u8)*left - (u8)*right;
  return 0;
}

void copy_text(char *to, const char *from, u64 size) {
  u64 i = 0;
  for (; i + 1 < size && from[i]; i++) to[i] = from[i];
  to[i] = 0;
}

u64 parse_number(const char *text, const char **end) {
  u64 value = 0;
  u64 base = 10;
  if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text += 2;
  }
  for (;; text++) {
    u64 digit;
    if (*text >= '0' && *text <= '9') digit = *text - '0';
    else if (base == 16 && *text >= 'a' && *text <= 'f') digit = *text - 'a' + 10;
    else if (base == 16 && *text >= 'A' && *text <= 'F') digit = *text - 'A' + 10;
    else break;
    value = value * base + digit;
  }
  if (end) *end = text;
  return value;
}
