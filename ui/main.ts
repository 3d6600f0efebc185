/** The page's first module, and a small one: the log's worker starts, and reads, while the pages are loaded and compiled. */
import { delay } from './after-paint.ts';
import { earlyOpened } from './early-worker.ts';
import './theme.ts';

/** The longest that the page stays empty for what is to be in it. */
const EMPTY_MS = 150;

async function show(): Promise<void> {
  const waited = Promise.race([earlyOpened, delay(EMPTY_MS)]);
  const { showApp } = await import('./app.ts');
  // One picture with everything in it comes sooner than an empty one and then that.
  await waited;
  showApp();
}
// Not awaited: app.ts needs modules that are in one script with this one.
void show();
