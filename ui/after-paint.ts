/** The longest that a page waits which is not drawn: one in the background has no frames. */
const HIDDEN_MS = 200;

/** Resolves when what was changed until now has been drawn. */
export function afterPaint(): Promise<void> {
  return new Promise((resolve) => {
    // In the frame's own callback it is not drawn yet; the next task comes after it.
    requestAnimationFrame(() => setTimeout(resolve, 0));
    setTimeout(resolve, HIDDEN_MS);
  });
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
