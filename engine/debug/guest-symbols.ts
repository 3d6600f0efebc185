/**
 * The names of a guest's code and data, from where they can be had:
 *
 *     the kernel's ELF image ── .symtab, DWARF
 *     an image without symbols ── the kernel's own table in the guest's memory (kallsyms), at the addresses that it runs at
 *     files that a person gives ── programs in user space, or a kernel with symbols, which then takes the place of what the image has
 */
import { ElfSections, SymbolError } from '../machine/boot/elf-sections.ts';
import { isElf } from '../machine/boot/elf.ts';
import { readElfSymbols, readSymbolFile } from '../machine/boot/symbol-file.ts';
import * as L from '../cpu/layout.ts';
import { findKallsyms, tableOf } from './kallsyms.ts';
import { type SourceFrame, type SourceLine, SourceLines } from './lines.ts';
import { type LinuxKernel, findKernel } from './linux.ts';
import { type GuestSymbol, SymbolTable } from './symbols.ts';
import type { TimeTravel } from './time-travel.ts';

export type { SourceFrame, SourceLine } from './lines.ts';

export interface GuestSymbols {
  readonly table: SymbolTable;
  readonly origin: 'elf' | 'kallsyms' | 'none';
  /** What was found out about the kernel, if it is Linux. */
  readonly linux?: LinuxKernel | undefined;
  /** Why there are no names, or no lines although there is DWARF; undefined if nothing is wrong. */
  readonly problem?: string | undefined;
  /** The line of the source that an instruction comes from: the innermost one, where functions were inlined. Of a return address, ask for the byte before it. */
  lineOf(address: bigint): SourceLine | undefined;
  /** The functions that an address is in, innermost first: those that were inlined, then the one that they were inlined into. Empty without DWARF. */
  framesOf?(address: bigint): readonly SourceFrame[];
  /** The addresses at which the code of a line begins, ascending. `file`: a path, or its last parts. Empty if no code comes from the line: see linesOf(). */
  addressesOf(file: string, line: number): readonly bigint[];
  /** The lines of a file that have code, ascending. */
  linesOf?(file: string): readonly number[];
  /** Source files that have code. */
  readonly files?: readonly string[];
  /** `symbol+0x12`, or the address in hexadecimal. */
  tell(address: bigint): string;
}

/** A file with symbols that a person gives. */
export interface SymbolFile {
  /** For symbols of one name: `work.elf:main`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Where the lines of some code are, and how far it runs from where it was linked. */
interface Source {
  readonly lines: SourceLines;
  readonly slide: bigint;
}

/** Instructions after which a kernel may have unpacked itself, or have made its first processes: doubled until the recording ends. */
const FIRST_LOOK = 1 << 26;
const KERNEL_HALF = 0xffff_8000_0000_0000n;

/**
 * The symbols of a recording's guest; one without any has an empty table. The cursor is where it was before, but it may have been elsewhere.
 * Throws SymbolError for a file that cannot be used, DivergedError.
 */
export function guestSymbols(travel: TimeTravel, kernelImage?: Uint8Array, files: readonly SymbolFile[] = []): GuestSymbols {
  const sources: Source[] = [];
  const given = files.map((file) => readGiven(file));
  const kernels = given.filter(({ isKernel }) => isKernel);
  let kernel: GuestSymbol[] | undefined;
  let problem: string | undefined;
  let image: ElfSections | undefined;
  if (kernels.length === 0 && kernelImage !== undefined) {
    try {
      image = new ElfSections(kernelImage);
      kernel = readElfSymbols(image);
    } catch (error) {
      if (!(error instanceof SymbolError)) throw error;
      problem = error.message;
    }
  } else if (kernels.length > 0) {
    kernel = kernels.flatMap(({ symbols }) => symbols);
    image = kernels.find(({ elf }) => elf !== undefined)?.elf;
  }

  // In the files of a Linux kernel, per-CPU variables have their offsets for addresses, until 6.14.
  if (kernel?.some(({ name }) => name === 'linux_banner') === true) kernel = kernel.map((symbol) => (symbol.address < KERNEL_HALF ? { ...symbol, kind: 'absolute' } : symbol));
  let table = kernel === undefined ? SymbolTable.EMPTY : new SymbolTable(kernel);
  let origin: GuestSymbols['origin'] = kernel === undefined ? 'none' : 'elf';
  let linux: LinuxKernel | undefined;
  let slide = 0n;
  // An image that has symbols, and none of Linux, needs no search.
  if (kernel === undefined ? mayBeLinux(kernelImage) : table.has('linux_banner')) {
    const found = findLinux(travel, table);
    linux = found?.linux;
    if (found !== undefined && kernel === undefined) {
      table = found.table;
      origin = 'kallsyms';
      problem = undefined;
    } else if (found !== undefined && kernel !== undefined && found.table !== table) {
      slide = slideOf(table, found.table);
      if (slide !== 0n) {
        kernel = kernel.map((symbol) => (symbol.kind === 'absolute' ? symbol : { ...symbol, address: BigInt.asUintN(64, symbol.address + slide) }));
        table = new SymbolTable(kernel);
      }
    }
  }
  if (image !== undefined) sources.push({ lines: new SourceLines(image), slide });
  const programs = given.filter(({ isKernel }) => !isKernel);
  if (programs.length > 0) {
    table = new SymbolTable([...table.all(), ...programs.flatMap(({ symbols }) => symbols)]);
    if (origin === 'none') origin = 'elf';
    for (const { elf } of programs) if (elf !== undefined) sources.push({ lines: new SourceLines(elf), slide: 0n });
  }
  return new FoundSymbols(table, origin, linux, problem, sources);
}

class FoundSymbols implements GuestSymbols {
  readonly table: SymbolTable;
  readonly origin: GuestSymbols['origin'];
  readonly linux: LinuxKernel | undefined;
  private readonly whyNone: string | undefined;
  private readonly sources: readonly Source[];

  constructor(table: SymbolTable, origin: GuestSymbols['origin'], linux: LinuxKernel | undefined, problem: string | undefined, sources: readonly Source[]) {
    this.table = table;
    this.origin = origin;
    this.linux = linux;
    this.whyNone = problem;
    this.sources = sources;
  }

  get problem(): string | undefined {
    return this.whyNone ?? this.sources.map(({ lines }) => lines.problem).find((problem) => problem !== undefined);
  }
  get files(): readonly string[] {
    return [...new Set(this.sources.flatMap(({ lines }) => lines.files))];
  }

  lineOf(address: bigint): SourceLine | undefined {
    for (const { lines, slide } of this.sources) {
      const line = lines.lineOf(address - slide);
      if (line !== undefined) return line;
    }
    return undefined;
  }
  framesOf(address: bigint): readonly SourceFrame[] {
    for (const { lines, slide } of this.sources) {
      const frames = lines.framesOf(address - slide);
      if (frames.length > 0) return frames;
    }
    return [];
  }
  addressesOf(file: string, line: number): readonly bigint[] {
    return this.sources.flatMap(({ lines, slide }) => lines.addressesOf(file, line).map((address) => address + slide)).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  }
  linesOf(file: string): readonly number[] {
    return [...new Set(this.sources.flatMap(({ lines }) => lines.linesOf(file)))].sort((a, b) => a - b);
  }
  tell(address: bigint): string {
    return this.table.tell(address);
  }
}

/** Throws SymbolError. */
function readGiven({ name, bytes }: SymbolFile): { readonly isKernel: boolean; readonly elf: ElfSections | undefined; readonly symbols: GuestSymbol[] } {
  const elf = isElf(bytes) ? new ElfSections(bytes) : undefined;
  const symbols: GuestSymbol[] = elf === undefined ? readSymbolFile(bytes) : readElfSymbols(elf);
  const isKernel = symbols.some(({ address }) => address >= KERNEL_HALF);
  return { isKernel, elf, symbols: isKernel ? symbols : symbols.map((symbol) => ({ ...symbol, file: symbol.file ?? name })) };
}

/** What has no symbols and is neither packed nor ELF is no Linux kernel. */
function mayBeLinux(image: Uint8Array | undefined): boolean {
  // "HdrS", at 0x202 of a bzImage: Linux, Documentation/arch/x86/boot.rst.
  return image === undefined || isElf(image) || (image.length > 0x206 && image[0x202] === 0x48 && image[0x203] === 0x64 && image[0x204] === 0x72 && image[0x205] === 0x53);
}

/**
 * The kernel in the guest's memory, and its own table unless the one given fits what is there. It is looked for where the cursor is, at power-on, where a kernel that the
 * loader unpacked is in memory already, and later, farther and farther, up to the end.
 */
function findLinux(travel: TimeTravel, given: SymbolTable): { readonly table: SymbolTable; readonly linux: LinuxKernel } | undefined {
  const before = travel.position;
  let best: { readonly table: SymbolTable; readonly linux: LinuxKernel } | undefined;
  const look = (): boolean => {
    const { machine } = travel;
    const fits = findKernel(machine, given);
    const found = fits === undefined ? findInMemory(travel) : { table: given, linux: fits };
    best ??= found;
    if (best !== undefined && best.linux.members === undefined && found?.linux.members !== undefined) best = { ...best, linux: found.linux };
    return best?.linux.members !== undefined;
  };
  if (look()) return best;
  const walk = travel.excursion(function* () {
    for (let at = 0; ; at = Math.max(FIRST_LOOK, at * 2)) {
      if (at === before) continue;
      yield travel.seek(Math.min(at, travel.last));
      if (look() || at >= travel.last) return best;
    }
  });
  for (;;) {
    const step = walk.next();
    if (step.done === true) return step.value;
  }
}

function findInMemory({ machine }: TimeTravel): { readonly table: SymbolTable; readonly linux: LinuxKernel } | undefined {
  const { core } = machine;
  const symbols = findKallsyms(core.u8.subarray(L.RAM, L.RAM + core.ramBytes));
  if (symbols === undefined) return undefined;
  const table = tableOf(symbols);
  const linux = findKernel(machine, table);
  return linux === undefined ? undefined : { table, linux };
}

/** How far a kernel runs from where its file has it. Throws SymbolError: it is another kernel's file. */
function slideOf(file: SymbolTable, running: SymbolTable): bigint {
  const names = ['_text', 'linux_banner', 'init_task'].filter((name) => file.addressOf(name) !== undefined && running.addressOf(name) !== undefined);
  const slides = new Set(names.map((name) => running.addressOf(name)! - file.addressOf(name)!));
  if (slides.size !== 1) throw new SymbolError('the file with symbols is of another kernel than the one that runs in the recording');
  return [...slides][0];
}
