/* The workloads. Each returns a checksum that depends on its size only: not on time, devices or the order of processes. */
#ifndef WORK_H
#define WORK_H
#include "user.h"
u64 work_cpu(u64 size);
u64 work_mem(u64 size);
u64 work_io(u64 size);
u64 work_fork(u64 size);
u64 work_syscall(u64 size);
u64 work_parallel(u64 size);
#endif
