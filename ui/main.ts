/** The page's first module: the log's worker starts before anything else is evaluated. */
import './early-worker.ts';
import './theme.ts';
import './app.ts';
