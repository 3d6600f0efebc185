/* What every program uses. */
#include "user.h"
#include "../lib/format.h"

void print(const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  u64 length = format_text(line, sizeof line, format, arguments);
  va_end(arguments);
  sys_write(line, length);
}

char *next_word(char **text) {
  char *word = *text;
  while (*word == ' ') word++;
  char *end = word;
  while (*end && *end != ' ') end++;
  *text = *end ? end + 1 : end;
  *end = 0;
  return word;
}

u64 checksum(u64 sum, const void *bytes, u64 length) {
  for (u64 i = 0; i < length; i++) sum = (sum ^ ((const u8 *)bytes)[i]) * 0x100000001b3ul;
  return sum;
}
