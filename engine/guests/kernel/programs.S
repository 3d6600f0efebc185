/* The user programs, as files in the kernel's read-only data. The build makes them; their symbols stay outside. */
  .macro program name
  .section .rodata.program_files, "a"
  .balign 16
program_\name\()_start:
  .incbin "\name\().stripped"
program_\name\()_end:
  .section .rodata.program_names, "aMS", @progbits, 1
program_\name\()_name:
  .asciz "\name"
  .section .rodata.programs, "a"
  .quad program_\name\()_name, program_\name\()_start, program_\name\()_end
  .endm

  .section .rodata.programs, "a"
  .balign 8
  .globl programs
programs:
  program init
  program work
  program crash
  program true
  .section .rodata.programs, "a"
  .globl programs_end
programs_end:
