/* Physical pages. A frame that was never used comes from the rest of RAM, in order, so that starting costs nothing per page;
 * a frame that was given back goes on a list whose links are in the frames themselves. */
#include "bootinfo.h"
#include "memory.h"

static u16 *users; /* a count for each frame, behind the kernel */
static u64 untouched;
static u64 free_list;
static u64 free_count;

void frames_start(void) {
  u64 frames = boot_info.memory_end / PAGE_BYTES;
  users = (u16 *)kernel_end;
  untouched = page_up(paddr_of(kernel_end) + frames * sizeof *users);
  if (untouched + (1 << 20) > boot_info.memory_end) panic("too little memory: %lu KiB", boot_info.memory_end / 1024);
  memset(users, 0, frames * sizeof *users);
}

u64 frame_take(void) {
  u64 frame = free_list;
  if (frame) {
    free_list = *(u64 *)physical(frame);
    free_count--;
  } else {
    if (untouched >= boot_info.memory_end) return 0;
    frame = untouched;
    untouched += PAGE_BYTES;
  }
  users[frame / PAGE_BYTES] = 1;
  memset(physical(frame), 0, PAGE_BYTES);
  return frame;
}

void frame_share(u64 frame) { users[frame / PAGE_BYTES]++; }

void frame_drop(u64 frame) {
  if (users[frame / PAGE_BYTES] == 0) panic("frame %lx is dropped but has no user", frame);
  if (--users[frame / PAGE_BYTES]) return;
  *(u64 *)physical(frame) = free_list;
  free_list = frame;
  free_count++;
}

u64 frame_users(u64 frame) { return users[frame / PAGE_BYTES]; }

u64 frames_free(void) { return free_count + (boot_info.memory_end - untouched) / PAGE_BYTES; }
