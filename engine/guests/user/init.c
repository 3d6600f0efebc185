/* The first process, and the shell: runs the commands that it was started with, then those that are typed. */
#include "user.h"

#define LINE_MAX 256

static void run(const char *program, const char *arguments) {
  i64 child = sys_fork();
  if (child == 0) {
    sys_exec(program, arguments);
    print("%s: no such command; try help\n", program);
    sys_exit(127);
  }
  if (child < 0) {
    print("%s: cannot fork (%ld)\n", program, child);
    return;
  }
  /* Orphans become init's children: their ends are seen here and forgotten. */
  int status = 0;
  i64 ended;
  do ended = sys_wait(&status);
  while (ended >= 0 && ended != child);
  if (status) print("%s: status %d\n", program, status);
}

static void list_processes(void) {
  static struct process_info list[32];
  i64 count = sys_processes(list, 32);
  print("  pid parent state pages  ticks name\n");
  for (i64 i = 0; i < count; i++)
    print("%5u %6u %5c %5u %6u %s\n", list[i].pid, list[i].parent, list[i].state, list[i].pages, list[i].ticks,
          list[i].name);
}

static void disk(char *arguments) {
  static u8 sector[DISK_SECTOR_BYTES];
  const char *verb = next_word(&arguments);
  u64 number = parse_number(next_word(&arguments), NULL);
  i64 result;
  if (strcmp(verb, "write") == 0) {
    for (u64 i = 0; i < sizeof sector; i++) sector[i] = (u8)(number * 7 + i);
    result = sys_disk_write(number, 1, sector);
  } else if (strcmp(verb, "read") == 0) {
    result = sys_disk_read(number, 1, sector);
  } else {
    print("disk: %lu sectors; disk read|write N\n", sys_disk_size());
    return;
  }
  if (result < 0) print("disk %s %lu: error %ld\n", verb, number, result);
  else print("disk %s %lu: %016lx\n", verb, number, checksum(CHECKSUM_START, sector, sizeof sector));
}

static void random_bytes(void) {
  u8 bytes[16];
  i64 count = sys_getrandom(bytes, sizeof bytes);
  if (count < 0) {
    print("random: error %ld\n", count);
    return;
  }
  print("random:");
  for (i64 i = 0; i < count; i++) print(" %02x", bytes[i]);
  print("\n");
}

static void panic(char *arguments) {
  const char *kind = next_word(&arguments);
  sys_panic(strcmp(kind, "null") == 0 ? PANIC_NULL : strcmp(kind, "stack") == 0 ? PANIC_STACK : PANIC_ASKED);
}

static void help(void) {
  print(
      "work cpu|mem|io|fork|syscall|parallel|mixed [n]  a workload, n times the usual size\n"
      "crash null|text|nx|div|ud|gp|kernel|stack|alarm  a program that the kernel must end\n"
      "disk read|write N; random; sleep MS; ps; echo TEXT; mark NAME\n"
      "panic [null|stack]; poweroff [CODE]; help\n");
}

static void command(char *line) {
  char *arguments = line;
  const char *name = next_word(&arguments);
  if (!*name) return;
  if (strcmp(name, "echo") == 0) print("%s\n", arguments);
  else if (strcmp(name, "mark") == 0) sys_mark(next_word(&arguments));
  else if (strcmp(name, "ps") == 0) list_processes();
  else if (strcmp(name, "disk") == 0) disk(arguments);
  else if (strcmp(name, "random") == 0) random_bytes();
  else if (strcmp(name, "sleep") == 0) sys_sleep(parse_number(next_word(&arguments), NULL));
  else if (strcmp(name, "panic") == 0) panic(arguments);
  else if (strcmp(name, "poweroff") == 0) sys_poweroff((int)parse_number(next_word(&arguments), NULL));
  else if (strcmp(name, "help") == 0) help();
  else run(name, arguments);
}

/* Commands are separated by semicolons. */
static void commands(char *line) {
  while (*line) {
    char *end = line;
    while (*end && *end != ';') end++;
    bool more = *end;
    *end = 0;
    command(line);
    line = end + more;
  }
}

int main(char *arguments) {
  print("lab kernel ready\n");
  commands(arguments);
  static char line[LINE_MAX];
  for (;;) {
    print("$ ");
    i64 length = sys_read(line, LINE_MAX - 1);
    if (length <= 0) continue;
    line[length - (line[length - 1] == '\n')] = 0;
    line[length] = 0;
    commands(line);
  }
}
