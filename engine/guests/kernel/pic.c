/* The two 8259A interrupt controllers, edge-triggered, on vectors 32 to 47 (Intel 8259A data sheet). */
#include "cpu.h"
#include "devices.h"
#include "trap.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA 0xa1
#define END_OF_INTERRUPT 0x20
#define READ_IN_SERVICE 0x0b
#define CASCADE 2

static u16 masked = 0xffff;

static void write_masks(void) {
  out8(PIC1_DATA, (u8)masked);
  out8(PIC2_DATA, (u8)(masked >> 8));
}

void pic_start(void) {
  out8(PIC1_COMMAND, 0x11); /* ICW1: edge, cascade, ICW4 follows */
  out8(PIC1_DATA, IRQ_VECTOR);
  out8(PIC1_DATA, 1 << CASCADE);
  out8(PIC1_DATA, 0x01); /* ICW4: 8086 mode */
  out8(PIC2_COMMAND, 0x11);
  out8(PIC2_DATA, IRQ_VECTOR + 8);
  out8(PIC2_DATA, CASCADE);
  out8(PIC2_DATA, 0x01);
  masked &= (u16) ~(1u << CASCADE);
  write_masks();
}

void pic_unmask(u8 irq) {
  masked &= (u16) ~(1u << irq);
  write_masks();
}

/* A request that went away before it was acknowledged shows as line 7 of its controller, not in service. */
bool pic_is_spurious(u8 irq) {
  if ((irq & 7) != 7) return false;
  u16 command = irq < 8 ? PIC1_COMMAND : PIC2_COMMAND;
  out8(command, READ_IN_SERVICE);
  if (in8(command) & 0x80) return false;
  if (irq >= 8) out8(PIC1_COMMAND, END_OF_INTERRUPT); /* the first one did see its cascade line */
  return true;
}

void pic_end(u8 irq) {
  if (irq >= 8) out8(PIC2_COMMAND, END_OF_INTERRUPT);
  out8(PIC1_COMMAND, END_OF_INTERRUPT);
}
