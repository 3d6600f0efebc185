# A guest that fills its memory, then writes pages on a schedule by the TSC, for ever. What it writes is the exact trace of its run: workload.ts.
# Multiboot 1, 32-bit, no paging. The table after "CVCONFIG" is set by whoever starts it. The PIT wakes it a thousand times a second.
#
#   burst k is due at start + k * tickTsc: `pagesPerTick` pages, one 4-byte store each, the next of the order (in every second phase `phasePages`)
#   order: sequential, or x -> (x * 5 + 1) mod 2^n within the working set (a full period: every page once a turn)
#   Each burst begins with an empty TLB (CR4.PGE toggled): QEMU 7.2 under TCG forgets writes through TLB entries that outlive a sync (README.md)
#   'R' on the serial port: filled, burst 0 is now. 'T' every announceTicks bursts.

        .set    MAGIC, 0x1badb002
        .section .text
        .code32
        .globl  _start
        .align  4
        .long   MAGIC, 0, -MAGIC
_start: jmp     begin
        .ascii  "CVCONFIG"
firstPage:      .long 0         # of the working set
setPages:       .long 0         # a power of two
pagesPerTick:   .long 0
tickTsc:        .long 0
isScattered:    .long 0
fillFrom:       .long 0         # bytes: memory that is filled with what is not zero
fillTo:         .long 0
phaseTicks:     .long 0         # 0: no phases; else bursts of a phase
phasePages:     .long 0
announceTicks:  .long 0

begin:  cli
        mov     $stack, %esp
        mov     fillFrom, %edi
fill:   mov     %edi, (%edi)
        movl    $0x5a5aa5a5, 4(%edi)
        add     $4096, %edi
        cmp     fillTo, %edi
        jb      fill

        lgdt    gdtr
        ljmp    $8, $flat
flat:   mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $timer, %eax            # gate 0x20
        mov     %ax, idt + 0x20*8
        movw    $8, idt + 0x20*8 + 2
        movw    $0x8e00, idt + 0x20*8 + 4
        shr     $16, %eax
        mov     %ax, idt + 0x20*8 + 6
        lidt    idtr
        mov     $0x11, %al              # both PICs: vectors 0x20 and 0x28, all masked but line 0
        out     %al, $0x20
        out     %al, $0xa0
        mov     $0x20, %al
        out     %al, $0x21
        mov     $0x28, %al
        out     %al, $0xa1
        mov     $4, %al
        out     %al, $0x21
        mov     $2, %al
        out     %al, $0xa1
        mov     $1, %al
        out     %al, $0x21
        out     %al, $0xa1
        mov     $0xfe, %al
        out     %al, $0x21
        mov     $0xff, %al
        out     %al, $0xa1
        mov     $0x34, %al              # PIT 0, mode 2, 1193182 / 1193 Hz
        out     %al, $0x43
        mov     $0xa9, %al
        out     %al, $0x40
        mov     $0x04, %al
        out     %al, $0x40

        mov     $'R', %al
        mov     $0x3f8, %dx
        out     %al, %dx
        rdtsc
        mov     %eax, %esi              # when the next burst is due: esi low, ebp high
        mov     %edx, %ebp
        xor     %ebx, %ebx              # place in the order
        xor     %edi, %edi              # bursts of this phase
        sti
        jmp     tick
early:  hlt
tick:   rdtsc
        sub     %esi, %eax
        sbb     %ebp, %edx
        js      early
        mov     %cr4, %eax
        xor     $0x80, %eax
        mov     %eax, %cr4
        mov     pagesPerTick, %ecx
        cmpl    $0, phase
        je      burst
        mov     phasePages, %ecx
burst:  test    %ecx, %ecx
        jz      done
one:    mov     %ebx, %eax
        add     firstPage, %eax
        shl     $12, %eax
        incl    8(%eax)
        cmpl    $0, isScattered
        je      next
        lea     (%ebx,%ebx,4), %ebx
next:   inc     %ebx
        mov     setPages, %eax
        dec     %eax
        and     %eax, %ebx
        dec     %ecx
        jnz     one
done:   add     tickTsc, %esi
        adc     $0, %ebp
        incl    bursts
        mov     bursts, %eax
        cmp     announceTicks, %eax
        jb      quiet
        movl    $0, bursts
        mov     $'T', %al
        mov     $0x3f8, %dx
        out     %al, %dx
quiet:  inc     %edi
        cmpl    $0, phaseTicks
        je      tick
        cmp     phaseTicks, %edi
        jb      tick
        xor     %edi, %edi
        xorl    $1, phase
        jmp     tick

timer:  push    %eax
        mov     $0x20, %al
        out     %al, $0x20
        pop     %eax
        iret

        .data
        .align  8
gdt:    .quad   0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:   .word   23
        .long   gdt
idtr:   .word   0x21*8 - 1
        .long   idt
phase:  .long   0
bursts: .long   0
        .bss
        .align  16
idt:    .skip   0x21*8
        .skip   4096
stack:
