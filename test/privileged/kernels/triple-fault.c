/* Ends the machine: a fault, whose delivery faults, whose delivery faults. */
#include "lib64.h"
SNIP(ud, "ud2");
void kernel_main(void) {
  init64();
  print("about to triple fault\n");
  loadIdt(0);
  kernel(ud);
  go();
  print("survived\n");
  finish();
}
