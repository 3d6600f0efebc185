/* The console as processes see it: whole lines in, with echo and backspace; bytes out, with CR LF. */
#include "cpu.h"
#include "devices.h"

#define INPUT_BYTES 1024
#define CHUNK_BYTES 64
#define BACKSPACE 8
#define DELETE 127

/* Written by the interrupt handler, read with interrupts off. `line_start` is where the unfinished line begins; what is before
 * it may be read. */
static char input[INPUT_BYTES];
static u64 read_count, line_start, write_count;

void tty_output(const char *bytes, u64 length) {
  char chunk[CHUNK_BYTES];
  u64 used = 0;
  for (u64 i = 0; i < length; i++) {
    if (bytes[i] == '\n') chunk[used++] = '\r';
    chunk[used++] = bytes[i];
    if (used < CHUNK_BYTES - 1 && i + 1 < length) continue;
    uart_write(chunk, used);
    if (hvc_ready()) hvc_write(chunk, used);
    used = 0;
  }
}

/* Counts a write of `length` bytes in the bucket of its size. */
static void meter_write(struct meter *meter, u64 length) {
  u64 bucket = 0;
  for (; length >= 16; length >>= 1) bucket++;
#ifdef BUG_STRAY_WRITE
  /* The bug: there is no bucket METER_BUCKETS. A write of 2048 bytes or more counts in whatever follows the meter. */
  if (bucket > METER_BUCKETS) bucket = METER_BUCKETS;
#else
  if (bucket >= METER_BUCKETS) bucket = METER_BUCKETS - 1;
#endif
  meter->writes[bucket]++;
}

i64 tty_write(const char *bytes, u64 length, struct meter *meter) {
  meter_write(meter, length);
  tty_output(bytes, length);
  return (i64)length;
}

static void receive(char byte) {
  if (byte == '\r') byte = '\n';
  if (byte == BACKSPACE || byte == DELETE) {
    if (write_count == line_start) return;
    write_count--;
    tty_output("\b \b", 3);
    return;
  }
  /* The last place is kept for the end of a line. */
  if (write_count - read_count >= INPUT_BYTES - (byte != '\n')) return;
  input[write_count++ % INPUT_BYTES] = byte;
  tty_output(&byte, 1);
  if (byte != '\n') return;
  line_start = write_count;
  wake_up(input);
}

void tty_start(void) { uart_listen(receive); }

i64 tty_read(char *buffer, u64 length) {
  if (!length) return 0;
  interrupts_off();
  while (read_count == line_start) {
    if (current->killed_by) {
      interrupts_on();
      return ERROR_INTERRUPTED;
    }
    sleep_on(input);
  }
  u64 count = 0;
  while (count < length && read_count < line_start) {
    char byte = input[read_count++ % INPUT_BYTES];
    buffer[count++] = byte;
    if (byte == '\n') break;
  }
  interrupts_on();
  return (i64)count;
}
