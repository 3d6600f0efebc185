/** The page's first module. */
import './app.ts';
