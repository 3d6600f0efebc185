#ifndef FORMAT_H
#define FORMAT_H
#include "types.h"
#include <stdarg.h>
/* printf's %s %c %d %u %x with a width, a leading 0 and `l`; returns the length, never writes more than size bytes. */
u64 format_text(char *to, u64 size, const char *format, va_list arguments);
#endif
