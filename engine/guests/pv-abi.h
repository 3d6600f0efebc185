/* The paravirtual interface: what a guest kernel built with PV and the VMM (engine/regimes/para) agree on. In the line of Xen PV, 64-bit
 * (xen/include/public): same numbers, names, errors and rules where the meaning is the same; less of it. engine/regimes/para/abi.ts is its
 * twin, and a test compares the two line by line: only #define NAME NUMBER is compared.
 *
 * The guest kernel and its programs both run at CPL 3. No port, control register, MSR or HLT is theirs: such an instruction is a #GP like any
 * other. The kernel asks by VMCALL: number in RAX, arguments in RDI, RSI, RDX, R10, R8; result in RAX, negative for an error; no other register
 * changes. VMCALL from a program is #UD.
 *
 * Entry: the kernel is loaded at its physical addresses and entered at the address of its ELF note (name "Chronovisor", type PV_NOTE_ENTRY), in
 * long mode, RSI = virtual address of struct pv_start_info, events masked, every other register 0. All of RAM (at most the first GiB) is mapped
 * at the address of note PV_NOTE_VIRT_BASE in 4 KiB pages: executable where a segment of the image is, writable but for the page tables themselves. Start
 * info, shared pages and these page tables lie at the end of that RAM, behind free_end.
 *
 * Page tables are the guest's own, in its own frames, walked by the CPU (direct paging). Each frame has one type at a time, counted by who uses it so:
 * a page table of level 1 to 4, or writable. A frame is validated when it becomes a table: entries name existing frames and set no reserved bit,
 * no large pages, and no entry of a level-1 table maps a page table writable. G is dropped and U is set in what the VMM writes. A table changes
 * by mmu_update alone; it is pinned (a level-4 table must be) or linked from a table above.
 *
 * Kernel and programs are kept apart by two roots: in kernel mode CR3 is the one of MMUEXT_NEW_BASEPTR, in user mode that of
 * MMUEXT_NEW_USER_BASEPTR. Between them go exceptions, events and SYSCALL one way and HYPERVISOR_iret the other.
 *
 * Traps and events come to the handler as if the CPU had delivered them: on the kernel stack of stack_switch (from user mode) or the present
 * one, aligned to 16: SS, RSP, RFLAGS, CS, RIP, and an error code where the vector has one. The CS that is pushed has RPL 3 if user mode was
 * interrupted and RPL 0 for kernel mode; IF in the pushed RFLAGS is the inverse of upcall_mask. If that stack cannot be written, the domain has crashed.
 *
 * Events: a bit for each port in pending, unless its bit in mask is set; upcall_pending then calls the event callback as soon as upcall_mask is 0. upcall_mask is the
 * interrupt flag: 1 by a plain store is CLI; 0 by a plain store is STI, and if upcall_pending is set then, any hypercall delivers (xen_version does nothing else). */
#ifndef PV_ABI_H
#define PV_ABI_H

#define PV_NOTE_ENTRY 1
#define PV_NOTE_VIRT_BASE 3

/* ---- hypercalls: Xen's numbers ---- */
#define HYPERVISOR_set_trap_table 0   /* (struct pv_trap *), ends with address 0 */
#define HYPERVISOR_mmu_update 1       /* (struct pv_mmu_update *, count, u32 *done): in order, stops at the first that is refused */
#define HYPERVISOR_stack_switch 3     /* (ss, rsp): where traps from user mode go. ss is ignored */
#define HYPERVISOR_set_callbacks 4    /* (event, failsafe, syscall): addresses. failsafe is never called */
#define HYPERVISOR_multicall 13       /* (struct pv_multicall *, count): no iret, no multicall inside */
#define HYPERVISOR_set_timer_op 15    /* (virtual ns since power-on, 0 = none): VIRQ_TIMER then */
#define HYPERVISOR_xen_version 17     /* () -> version << 16; its use is that pending events are delivered */
#define HYPERVISOR_iret 23            /* struct pv_iret at RSP; does not return */
#define HYPERVISOR_mmuext_op 26       /* (struct pv_mmuext *, count, u32 *done): in order, stops at the first that is refused */
#define HYPERVISOR_sched_op 29        /* (SCHEDOP_*, argument *) */
#define HYPERVISOR_event_channel_op 32 /* (EVTCHNOP_*, argument *) */
#define HYPERVISOR_mark 48            /* (text): a mark in the log; at most 255 bytes, then 0. Not Xen's: the first number left to the architecture */

#define PV_VERSION 1
#define PV_MMU_UPDATES_MAX 512
#define PV_MULTICALLS_MAX 64

/* ---- errors: as Xen and Linux number them ---- */
#define PV_EPERM 1
#define PV_ENOENT 2
#define PV_EFAULT 14
#define PV_EBUSY 16
#define PV_EINVAL 22
#define PV_ENOSPC 28
#define PV_ENOSYS 38

/* ---- privilege ---- */
#define PV_CS_USER 0xe033
#define PV_CS_KERNEL 0xe030 /* what is pushed; the CPU's has RPL 3 all the same */
#define PV_SS 0xe02b

/* ---- page tables ---- */
#define MMU_NORMAL_PT_UPDATE 0 /* low bits of pv_mmu_update.pointer */
#define MMU_PT_UPDATE_PRESERVE_AD 2
#define MMUEXT_PIN_L1_TABLE 0
#define MMUEXT_PIN_L2_TABLE 1
#define MMUEXT_PIN_L3_TABLE 2
#define MMUEXT_PIN_L4_TABLE 3
#define MMUEXT_UNPIN_TABLE 4
#define MMUEXT_NEW_BASEPTR 5
#define MMUEXT_TLB_FLUSH_LOCAL 6
#define MMUEXT_INVLPG_LOCAL 7
#define MMUEXT_NEW_USER_BASEPTR 15

/* ---- traps ---- */
#define PV_TRAP_DPL 3    /* bits of pv_trap.flags: programs may raise it by INT n if this is 3 */
#define PV_TRAP_MASKS 4  /* upcall_mask becomes 1 */

/* ---- scheduling ---- */
#define SCHEDOP_yield 0
#define SCHEDOP_block 1    /* upcall_mask becomes 0; sleeps until an event is pending */
#define SCHEDOP_shutdown 2 /* (struct pv_shutdown *) */
#define SHUTDOWN_poweroff 0
#define SHUTDOWN_reboot 1
#define SHUTDOWN_crash 3

/* ---- events ---- */
#define PV_PORTS 64
#define EVTCHNOP_bind_interdomain 0 /* (struct pv_bind *): 'from' is the port of the driver domain */
#define EVTCHNOP_bind_virq 1        /* (struct pv_bind *): 'from' is VIRQ_* */
#define EVTCHNOP_close 3            /* (u32 *port) */
#define EVTCHNOP_send 4             /* (u32 *port) */
#define EVTCHNOP_unmask 9           /* (u32 *port): and pending again if it was */
#define VIRQ_TIMER 0
#define PV_PORT_CONSOLE 1 /* of the driver domain */
#define PV_PORT_BLOCK 2

/* ---- shared info: offsets are Xen's ---- */
#define SHARED_UPCALL_PENDING 0 /* u8 */
#define SHARED_UPCALL_MASK 1    /* u8 */
#define SHARED_PENDING_SELECT 8 /* u64, bit 0: a port of the first 64 is pending */
#define SHARED_CR2 16           /* u64, of the last page fault */
#define SHARED_PENDING 2048     /* u64 */
#define SHARED_MASK 2560        /* u64 */

/* ---- start info ---- */
#define START_MAGIC 0x3176506e6f726843 /* "ChronPv1" */
#define START_PAGES 8          /* u64 RAM, in frames */
#define START_FREE_END 16      /* u64 physical address: RAM from here on is the VMM's to hand out, and in use */
#define START_SHARED_INFO 24   /* u64 frame */
#define START_CONSOLE 32       /* u64 frame of the ring */
#define START_BLOCK 40         /* u64 frame of the ring, 0 = no disk */
#define START_SECTORS 48       /* u64 of 512 bytes */
#define START_BASEPTR 56       /* u64 frame of the level-4 table in use */
#define START_TSC_HZ 64        /* u64; RDTSC / START_TSC_HZ is virtual time since power-on */
#define START_COMMAND_LINE 72  /* text, then 0 */
#define START_COMMAND_LINE_BYTES 1024

/* ---- console ring: xencons_interface ---- */
#define CONSOLE_IN 0
#define CONSOLE_IN_BYTES 1024
#define CONSOLE_OUT 1024
#define CONSOLE_OUT_BYTES 2048
#define CONSOLE_IN_CONS 3072 /* u32 each; free running */
#define CONSOLE_IN_PROD 3076
#define CONSOLE_OUT_CONS 3080
#define CONSOLE_OUT_PROD 3084

/* ---- block ring: as blkif, but segments name frames instead of grants, which the driver domain holds as writable until it answers ---- */
#define BLOCK_REQ_PROD 0 /* u32, guest */
#define BLOCK_RSP_PROD 8 /* u32, driver domain */
#define BLOCK_RING 64
#define BLOCK_ENTRIES 32
#define BLOCK_ENTRY_BYTES 112
#define BLOCK_OPERATION 0 /* u8 */
#define BLOCK_SEGMENTS 1  /* u8 */
#define BLOCK_ID 8        /* u64, comes back in the response at offset 0 */
#define BLOCK_SECTOR 16   /* u64 */
#define BLOCK_SEGMENT 24  /* u32 frame, u8 first sector, u8 last sector, u16 0; 8 bytes each */
#define BLOCK_SEGMENTS_MAX 11
#define BLOCK_RSP_OPERATION 8 /* u8 */
#define BLOCK_RSP_STATUS 10   /* s16: 0, or BLOCK_ERROR */
#define BLOCK_READ 0
#define BLOCK_WRITE 1
#define BLOCK_OKAY 0
#define BLOCK_ERROR -1

#ifndef __ASSEMBLER__
#include "lib/types.h"
struct pv_trap {
  u8 vector, flags;
  u16 reserved;
  u32 reserved2;
  u64 address;
};
struct pv_mmu_update {
  u64 pointer; /* physical address of the entry | MMU_* */
  u64 value;
};
struct pv_mmuext {
  u32 operation, reserved;
  u64 argument; /* frame, or linear address */
};
struct pv_multicall {
  u64 operation;
  i64 result;
  u64 arguments[6];
};
struct pv_iret {
  u64 rax, unused[2], rip, cs, rflags, rsp, ss;
};
struct pv_shutdown {
  u32 reason, code; /* code: exit code of the run for SHUTDOWN_poweroff, 0 = success */
};
struct pv_bind {
  u32 from, port; /* port: result */
};
#endif
#endif
