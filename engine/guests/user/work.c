/* work KIND [n]: one workload, or all of them. */
#include "work.h"

static const struct workload {
  const char *name;
  u64 (*run)(u64 size);
} workloads[] = {
    {"cpu", work_cpu},   {"syscall", work_syscall}, {"io", work_io},
    {"fork", work_fork}, {"mem", work_mem},         {"parallel", work_parallel},
};
#define WORKLOADS (sizeof workloads / sizeof *workloads)

static u64 run(const struct workload *workload, u64 size) {
  /* Marks let the same phase be found in another run. */
  char name[NAME_MAX + 8] = "work ";
  copy_text(name + 5, workload->name, NAME_MAX);
  sys_mark(name);
  u64 sum = workload->run(size);
  print("work %s: %016lx\n", workload->name, sum);
  return sum;
}

int main(char *arguments) {
  const char *kind = next_word(&arguments);
  u64 size = parse_number(next_word(&arguments), NULL);
  if (size == 0) size = 1;
  bool mixed = strcmp(kind, "mixed") == 0;
  u64 sum = CHECKSUM_START;
  u64 count = 0;
  for (u64 i = 0; i < WORKLOADS; i++) {
    if (!mixed && strcmp(kind, workloads[i].name) != 0) continue;
    u64 part = run(&workloads[i], size);
    sum = checksum(sum, &part, sizeof part);
    count++;
  }
  if (count == 0) {
    print("work cpu|mem|io|fork|syscall|parallel|mixed [n]\n");
    return 1;
  }
  if (mixed) print("work mixed: %016lx\n", sum);
  sys_mark("work end");
  return 0;
}
