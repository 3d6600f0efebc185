/* What the kernel and its user programs agree on: system call numbers, structures, errors.
 *
 * A call that means the same as one of Linux has Linux's number, so that a tool that names system calls names these.
 * The lab's own start at 512. Number in RAX, arguments in RDI, RSI, RDX; result in RAX, negative for an error. */
#ifndef ABI_H
#define ABI_H

#define SYS_READ 0        /* (fd, buffer, length) console: one line */
#define SYS_WRITE 1       /* (fd, buffer, length) console */
#define SYS_MMAP 9        /* (length) -> address of zeroed memory */
#define SYS_MUNMAP 11     /* (address) of a whole mapping */
#define SYS_BRK 12        /* (new end or 0) -> end of the heap */
#define SYS_YIELD 24      /* () */
#define SYS_SLEEP 35      /* (milliseconds) */
#define SYS_ALARM 37      /* (ticks, 0 = cancel): ends the process when it rings */
#define SYS_GETPID 39     /* () */
#define SYS_FORK 57       /* () -> pid, 0 in the child */
#define SYS_EXEC 59       /* (name, argument line) */
#define SYS_EXIT 60       /* (status) */
#define SYS_WAIT 61       /* (int *status) -> pid */
#define SYS_GETTIME 228   /* () -> nanoseconds since boot, in steps of a tick */
#define SYS_GETRANDOM 318 /* (buffer, length) from virtio-rng */
#define SYS_MARK 512      /* (name): names this moment of the run, see README */
#define SYS_POWEROFF 513  /* (exit code) */
#define SYS_PANIC 514     /* (PANIC_*) */
#define SYS_PROCESSES 515 /* (struct process_info *, count) -> number written */
#define SYS_DISK_SIZE 516 /* () -> sectors, 0 = no disk */
#define SYS_DISK_READ 517 /* (sector, count <= DISK_SECTORS_MAX, buffer) */
#define SYS_DISK_WRITE 518

#define PANIC_ASKED 0
#define PANIC_NULL 1  /* the kernel reads address 0 */
#define PANIC_STACK 2 /* the kernel's stack pointer is lost: #DF on its own stack */

#define DISK_SECTOR_BYTES 512
#define DISK_SECTORS_MAX 8
#define ARGUMENTS_MAX 256
#define NAME_MAX 16

#define ERROR_FAULT (-14)      /* bad address */
#define ERROR_NO_MEMORY (-12)
#define ERROR_NO_PROCESS (-11) /* process table full */
#define ERROR_NO_CHILD (-10)
#define ERROR_INTERRUPTED (-4)
#define ERROR_NOT_FOUND (-2)
#define ERROR_INVALID (-22)
#define ERROR_NO_DEVICE (-19)
#define ERROR_IO (-5)
#define ERROR_NO_CALL (-38)

/* Status of a process that did not call exit: 128 + exception vector, or this when its alarm rang. */
#define STATUS_ALARM 124

#ifndef __ASSEMBLER__
struct process_info {
  unsigned int pid;
  unsigned int parent;
  unsigned int pages;
  unsigned int ticks;
  char state;
  char name[NAME_MAX];
};
#endif

#endif
