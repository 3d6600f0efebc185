/* A small printf, for the kernel and for user programs. */
#include "format.h"
#include "string.h"

struct target {
  char *to;
  u64 size;
  u64 length;
};

static void put(struct target *target, char c) {
  if (target->length + 1 < target->size) target->to[target->length++] = c;
}

static void put_number(struct target *target, u64 value, u64 base, bool negative, u64 width, char pad) {
  char digits[24];
  u64 count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  if (negative) digits[count++] = '-';
  for (; width > count; width--) put(target, pad);
  while (count) put(target, digits[--count]);
}

u64 format_text(char *to, u64 size, const char *format, va_list arguments) {
  struct target target = {to, size, 0};
  for (; *format; format++) {
    if (*format != '%') {
      put(&target, *format);
      continue;
    }
    format++;
    char pad = ' ';
    u64 width = 0;
    bool is_long = false;
    if (*format == '0') pad = '0', format++;
    for (; *format >= '0' && *format <= '9'; format++) width = width * 10 + (u64)(*format - '0');
    for (; *format == 'l'; format++) is_long = true;
    switch (*format) {
      case 's': {
        const char *text = va_arg(arguments, const char *);
        u64 length = strlen(text);
        for (u64 i = 0; i < length; i++) put(&target, text[i]);
        for (; width > length; width--) put(&target, ' ');
        break;
      }
      case 'c':
        put(&target, (char)va_arg(arguments, int));
        break;
      case 'd': {
        i64 value = is_long ? va_arg(arguments, i64) : va_arg(arguments, int);
        put_number(&target, value < 0 ? -(u64)value : (u64)value, 10, value < 0, width, pad);
        break;
      }
      case 'u':
      case 'x': {
        u64 value = is_long ? va_arg(arguments, u64) : va_arg(arguments, u32);
        put_number(&target, value, *format == 'u' ? 10 : 16, false, width, pad);
        break;
      }
      default:
        put(&target, *format);
    }
  }
  if (size) target.to[target.length] = 0;
  return target.length;
}
