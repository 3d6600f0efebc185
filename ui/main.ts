/** The page's first module. */
import './early-log.ts';
import './app.ts';
