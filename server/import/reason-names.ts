/** Names of reasons as tools print them. */

/** Sleep rather than work, in the words of VMX, SVM, PVM and arm64 (WFx: wait for interrupt or event). */
const SLEEP = new Set(['HLT', 'hlt', 'idle-halt', 'HC_IRQ_HALT', 'WFx', 'KVM_EXIT_HLT']);

export function isSleepName(name: string): boolean {
  return SLEEP.has(name);
}

/** Old and new names of the same thing, so that two tables can be laid side by side. Linux commit 4e2a0bc56ad1 renamed PENDING_INTERRUPT. */
const RENAMED: Readonly<Record<string, string>> = { PENDING_INTERRUPT: 'INTERRUPT_WINDOW' };

export function currentName(name: string): string | undefined {
  return RENAMED[name];
}
