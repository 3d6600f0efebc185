/** A walk that several tests make: to the last writer of what rsp points at, by the page and by the engine in Node. */
import { physicalRanges, readRegister } from '../../engine/debug/inspect.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { Page } from 'playwright-core';

/** Asks the page, whose cursor is at `from`, for the last writer of a byte of the stack, and goes there. Returns where that is by Node's own walk. */
export async function goToLastWriter(page: Page, node: TimeTravel, from: number, timeoutMs: number): Promise<number> {
  node.seek(from);
  const rsp = readRegister(node.machine, 'rsp')!;
  const ranges = physicalRanges(node.machine, rsp, 8);
  // Going back from the very next position, so that a write that shows here for the first time is met.
  node.seek(from + 1);
  const stop = node.reverseContinue([{ kind: 'watchpoint', ranges, access: 'write' }]);
  await page.getByTestId('tab-memory').click();
  await page.locator(`[data-testid=memory] [data-byte="0x${rsp.toString(16)}"]`).click();
  await page.getByTestId('last-writer').click();
  await page.locator('[data-testid=origin][data-done=true]').waitFor({ timeout: timeoutMs });
  await page.getByTestId('origin-position').first().click();
  return stop.position - 1;
}
