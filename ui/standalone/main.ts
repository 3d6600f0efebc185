/** The first module of a self-contained page. */
import { unpack } from './unpack.ts';

try {
  await unpack();
  await import('../theme.ts');
  const { showApp } = await import('../app.ts');
  showApp();
} catch (error) {
  const problem = document.createElement('p');
  problem.setAttribute('role', 'alert');
  problem.textContent = `The recording cannot be shown: ${error instanceof Error ? error.message : String(error)}.`;
  document.body.replaceChildren(problem);
}
