#ifndef STRING_H
#define STRING_H
#include "types.h"
void *memcpy(void *to, const void *from, u64 length);
void *memmove(void *to, const void *from, u64 length);
void *memset(void *to, int value, u64 length);
int memcmp(const void *left, const void *right, u64 length);
u64 strlen(const char *text);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, u64 length);
/* Copies at most size - 1 characters and always terminates. */
void copy_text(char *to, const char *from, u64 size);
/* Reads a number: decimal or 0x hex. `end`, when given, is set behind it. */
u64 parse_number(const char *text, const char **end);
#endif
