/** The source of a program's code: lines and inlined functions, from the DWARF of its ELF file. Read when it is first asked for. */
import { type ElfSections, SymbolError } from '../machine/boot/elf-sections.ts';
import { LineProgram } from './lines-program.ts';
import { DebugUnits } from './lines-units.ts';

export interface SourceLine {
  /** As the compiler was given it, directories included. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** A function, or one that was inlined, and the line of it that runs. */
export interface SourceFrame {
  readonly function: string | undefined;
  readonly source: SourceLine | undefined;
}

export class SourceLines {
  private readonly elf: ElfSections;
  private opened: { readonly units: DebugUnits | undefined; readonly program: LineProgram | undefined } | undefined;
  private whyNot: string | undefined;

  constructor(elf: ElfSections) {
    this.elf = elf;
  }

  /** Why there are no lines, or not all of them; undefined if nothing is wrong. */
  get problem(): string | undefined {
    const { units, program } = this.open();
    return this.whyNot ?? program?.problem ?? units?.problem;
  }

  /** Source files that have code. */
  get files(): readonly string[] {
    return this.open().program?.fileNames ?? [];
  }

  lineOf(address: bigint): SourceLine | undefined {
    return this.open().program?.lineOf(address);
  }

  /** The functions that an address is in, innermost first: those that were inlined, then the one that they were inlined into. Empty if it is in none. */
  framesOf(address: bigint): readonly SourceFrame[] {
    const { units, program } = this.open();
    const found = units?.framesOf(address);
    if (found === undefined) return [];
    const fileOf = found.lines === undefined ? undefined : program?.filesOf(found.lines);
    let source = program?.lineOf(address);
    return found.frames.map(({ function: name, callFile, callLine }) => {
      const frame = { function: name, source };
      const file = fileOf?.(callFile);
      source = file === undefined || callLine === 0 ? undefined : { file, line: callLine };
      return frame;
    });
  }

  /** Where the code of a line begins, ascending. `file`: a path, or its last parts. */
  addressesOf(file: string, line: number): readonly bigint[] {
    return this.open().program?.addressesOf(file, line) ?? [];
  }

  /** The lines of a file that have code, ascending. */
  linesOf(file: string): readonly number[] {
    return this.open().program?.linesOf(file) ?? [];
  }

  private open(): NonNullable<SourceLines['opened']> {
    if (this.opened !== undefined) return this.opened;
    let units: DebugUnits | undefined;
    let program: LineProgram | undefined;
    try {
      units = new DebugUnits(this.elf);
      program = new LineProgram(this.elf, units.directories);
    } catch (error) {
      if (!(error instanceof SymbolError)) throw error;
      this.whyNot = error.message;
    }
    this.opened = { units, program };
    return this.opened;
  }
}
