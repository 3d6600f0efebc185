/* Small objects, all of one size: regions, spaces, timers, meters. The last object given back is the first to be taken again,
 * because it is still in the cache.
 *
 * Only process context comes here, and the kernel does not preempt itself: no lock is needed. */
#include "memory.h"

struct free_object {
  struct free_object *next;
};

static struct free_object *free_list;

void *object_take(void) {
  if (!free_list) {
    u64 frame = frame_take();
    if (!frame) panic("out of memory for kernel objects");
    char *page = physical(frame);
    for (u64 offset = PAGE_BYTES; offset; offset -= OBJECT_BYTES) object_give(page + offset - OBJECT_BYTES);
  }
  struct free_object *object = free_list;
  free_list = object->next;
  return memset(object, 0, OBJECT_BYTES);
}

void object_give(void *object) {
  struct free_object *freed = object;
  freed->next = free_list;
  free_list = freed;
}
