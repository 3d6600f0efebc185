/* Kernel messages on the console. */
#include "../lib/format.h"
#include "devices.h"
#include "kernel.h"

void print(const char *format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  u64 length = format_text(line, sizeof line, format, arguments);
  va_end(arguments);
  tty_output(line, length);
}
