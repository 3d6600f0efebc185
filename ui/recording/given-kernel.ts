/** A kernel that a person dropped on the pages, for the next recording. */
export interface GivenKernel {
  readonly name: string;
  readonly kernel: Uint8Array;
  readonly initrd: { readonly name: string; readonly bytes: Uint8Array } | undefined;
}

let given: GivenKernel | undefined;

export function giveKernel(kernel: GivenKernel | undefined): void {
  given = kernel;
}
export function givenKernel(): GivenKernel | undefined {
  return given;
}

/** ELF (its magic), or a Linux bzImage (Documentation/arch/x86/boot.rst: "HdrS" at 0x202). */
export function isKernel(bytes: Uint8Array): boolean {
  const word = (at: number): number => (bytes.length < at + 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(at));
  return word(0) === 0x7f454c46 || word(0x202) === 0x48647253;
}
