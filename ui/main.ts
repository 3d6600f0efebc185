/** The page's first module: small, so that the log's worker starts while the pages are loaded. */
import './early-log.ts';

void import('./app.ts');
