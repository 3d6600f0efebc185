/*
 * Runs instruction cases on this CPU. Linux on x86-64 only.
 *
 *   stdin   one batch: header, windows, base image, cases        (integers little-endian; layout below)
 *   stdout  one result a case, in the same order
 *
 * The windows are mapped at the addresses that the batch names. One signal frame carries everything: the handler reads the
 * state that a case ended in from the ucontext, writes the result, puts the next case into the same ucontext, and returns
 * into it. The code window is full of int3, so a case that runs to its end stops there; any other fault is a result too.
 *
 *   int3 ──► handler: record(case i); restore windows; load(case i + 1) ──► sigreturn ──► case i + 1 ──► int3 or fault ...
 *
 * FS and GS bases belong to the cases from the first one on, so nothing that runs after that may use thread-local storage:
 * built with -fno-stack-protector and -z now, raw system calls only.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define MAGIC 0x314e5643u /* "CVN1" */
#define WINDOWS_MAX 8
#define PATCHES_MAX 64
#define RESERVE_BEGIN 0x0fff0000ul
#define RESERVE_SIZE 0x00100000ul
#define TIMEOUT 255
/* NT, AC and ID are not restored by sigreturn; the handler clears them. */
#define STICKY_FLAGS 0x244000ul

struct header { uint32_t magic, window_count, case_count, reserved; uint64_t fs_base, gs_base; };
struct window { uint64_t address; uint32_t size, protection; };
struct test_case { uint32_t size; uint8_t mode, code_length; uint16_t patch_count; uint64_t rip, flags, registers[16]; uint8_t code[64]; };
struct patch { uint32_t address, length; };
struct result { uint32_t size; uint8_t vector, reserved; uint16_t run_count; uint64_t rip, error, cr2, flags, registers[16]; };

static const int ORDER[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static struct header header;
static struct window windows[WINDOWS_MAX];
/* Per window: what the guest sees, its contents before the case, its contents before the case's patches. */
static uint8_t *live[WINDOWS_MAX], *before[WINDOWS_MAX], *base[WINDOWS_MAX];
static const uint8_t *cursor;
static const struct test_case *current;
static int64_t position = -1, last_tick = -1;
static uint8_t out[1 << 20];
static uint32_t out_length;
static uint16_t cs64;

static long raw3(long number, long a, long b, long c) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return r;
}

static void flush(void) {
  uint32_t done = 0;
  while (done < out_length) {
    long n = raw3(SYS_write, 1, (long)(out + done), out_length - done);
    if (n <= 0) raw3(SYS_exit_group, 3, 0, 0);
    done += (uint32_t)n;
  }
  out_length = 0;
}

static uint8_t *at(uint8_t **images, uint32_t address, uint32_t length) {
  for (uint32_t i = 0; i < header.window_count; i++)
    if (address >= windows[i].address && address + length <= windows[i].address + windows[i].size) return images[i] + (address - windows[i].address);
  raw3(SYS_exit_group, 4, 0, 0);
  return 0;
}

static void patch_all(const struct test_case *c, int undo) {
  const uint8_t *p = (const uint8_t *)(c + 1);
  for (uint32_t i = 0; i < c->patch_count; i++) {
    const struct patch *h = (const struct patch *)p;
    const uint8_t *bytes = undo ? at(base, h->address, h->length) : p + sizeof *h;
    memcpy(at(live, h->address, h->length), bytes, h->length);
    memcpy(at(before, h->address, h->length), bytes, h->length);
    p += sizeof *h + ((h->length + 7) & ~7u);
  }
  const uint8_t *code = undo ? at(base, (uint32_t)c->rip, c->code_length) : c->code;
  memcpy(at(live, (uint32_t)c->rip, c->code_length), code, c->code_length);
  memcpy(at(before, (uint32_t)c->rip, c->code_length), code, c->code_length);
}

static void record(const ucontext_t *uc, int timed_out) {
  if (out_length > sizeof out - 65536 * 3) flush();
  struct result *r = (struct result *)(out + out_length);
  const greg_t *g = uc->uc_mcontext.gregs;
  r->vector = timed_out ? TIMEOUT : (uint8_t)g[REG_TRAPNO];
  r->reserved = 0;
  r->run_count = 0;
  r->rip = (uint64_t)g[REG_RIP] - (r->vector == 3 ? 1 : 0);
  r->error = (uint64_t)g[REG_ERR];
  r->cr2 = r->vector == 14 ? (uint64_t)g[REG_CR2] : 0;
  r->flags = (uint64_t)g[REG_EFL];
  for (int i = 0; i < 16; i++) r->registers[i] = (uint64_t)g[ORDER[i]];
  uint8_t *p = (uint8_t *)(r + 1);
  /* Runs of changed bytes. */
  for (uint32_t w = 0; w < header.window_count; w++) {
    const uint32_t size = windows[w].size;
    if (memcmp(live[w], before[w], size) == 0) continue;
    for (uint32_t i = 0; i < size;) {
      if (live[w][i] == before[w][i]) { i++; continue; }
      uint32_t from = i;
      while (i < size && live[w][i] != before[w][i]) i++;
      struct patch *h = (struct patch *)p;
      h->address = (uint32_t)windows[w].address + from;
      h->length = i - from;
      memcpy(p + sizeof *h, live[w] + from, i - from);
      p += sizeof *h;
      memset(p + (i - from), 0, -(i - from) & 7);
      p += (i - from + 7) & ~7u;
      r->run_count++;
      memcpy(live[w] + from, before[w] + from, i - from);
    }
  }
  r->size = (uint32_t)(p - (uint8_t *)r);
  out_length += r->size;
}

static void load(ucontext_t *uc, const struct test_case *c) {
  greg_t *g = uc->uc_mcontext.gregs;
  for (int i = 0; i < 16; i++) g[ORDER[i]] = (greg_t)c->registers[i];
  g[REG_EFL] = (greg_t)c->flags;
  g[REG_RIP] = (greg_t)c->rip;
  g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffll) | (c->mode == 64 ? cs64 : 0x23);
}

static void handler(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)info;
  if (signal == SIGALRM && position != last_tick) {
    last_tick = position;
    return;
  }
  __asm__ volatile("pushfq; andq %0, (%%rsp); popfq" : : "i"(~(long)STICKY_FLAGS) : "memory", "cc");
  if (position >= 0) {
    record(uc, signal == SIGALRM);
    patch_all(current, 1);
    cursor += current->size;
  } else {
    cs64 = (uint16_t)uc->uc_mcontext.gregs[REG_CSGSFS];
    raw3(SYS_arch_prctl, ARCH_SET_FS, (long)header.fs_base, 0);
    raw3(SYS_arch_prctl, ARCH_SET_GS, (long)header.gs_base, 0);
  }
  position++;
  if (position == header.case_count) {
    flush();
    raw3(SYS_exit_group, 0, 0, 0);
  }
  current = (const struct test_case *)cursor;
  patch_all(current, 0);
  load(uc, current);
}

static void die(const char *what) {
  perror(what);
  exit(2);
}

int main(void) {
  size_t capacity = 1 << 24, length = 0;
  uint8_t *in = malloc(capacity);
  for (;;) {
    if (length == capacity) in = realloc(in, capacity *= 2);
    if (in == NULL) die("memory");
    ssize_t n = read(0, in + length, capacity - length);
    if (n < 0) die("read");
    if (n == 0) break;
    length += (size_t)n;
  }
  cursor = in;
  memcpy(&header, cursor, sizeof header);
  cursor += sizeof header;
  if (length < sizeof header || header.magic != MAGIC || header.window_count > WINDOWS_MAX) {
    fprintf(stderr, "runner: not a batch\n");
    return 2;
  }
  memcpy(windows, cursor, header.window_count * sizeof *windows);
  cursor += header.window_count * sizeof *windows;

  /* Around the windows nothing is mapped. */
  if (mmap((void *)RESERVE_BEGIN, RESERVE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) die("reserve");
  for (uint32_t i = 0; i < header.window_count; i++) {
    const struct window *w = &windows[i];
    int fd = memfd_create("window", 0);
    if (fd < 0 || ftruncate(fd, w->size) != 0) die("memfd");
    live[i] = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (live[i] == MAP_FAILED) die("mmap");
    if (mmap((void *)w->address, w->size, (int)w->protection, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED) die("window");
    close(fd);
    before[i] = malloc(w->size);
    base[i] = malloc(w->size);
    memcpy(base[i], cursor, w->size);
    memcpy(before[i], cursor, w->size);
    memcpy(live[i], cursor, w->size);
    cursor += w->size;
  }

  static uint8_t stack[1 << 16];
  stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  if (sigaltstack(&alternate, NULL) != 0) die("sigaltstack");
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  static const int SIGNALS[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGALRM };
  for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++) if (sigaction(SIGNALS[i], &action, NULL) != 0) die("sigaction");
  const struct itimerval tick = { { 2, 0 }, { 2, 0 } };
  if (setitimer(ITIMER_REAL, &tick, NULL) != 0) die("setitimer");
  /* 32-bit cases need flat data segments; 64-bit ones do not look. */
  __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(0x2b));
  __asm__ volatile("int3");
  return 5;
}
