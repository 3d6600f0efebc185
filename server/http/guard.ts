/**
 * Who may talk to the server: pages that it served itself, and programs on this host. A name that somebody points at 127.0.0.1 (DNS
 * rebinding) is stopped by Host, a page of another site by Origin and Sec-Fetch-Site.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { HttpError } from './errors.ts';

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Throws HttpError. */
export function guard(headers: IncomingHttpHeaders, isApi: boolean): void {
  const host = headers.host ?? '';
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase();
  if (!LOOPBACK_NAMES.has(name)) throw new HttpError('HTTP_BAD_HOST');
  const { origin } = headers;
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) throw new HttpError('HTTP_CROSS_ORIGIN');
  const site = headers['sec-fetch-site'];
  // A link from elsewhere to the start page is welcome; use of the API from elsewhere is not.
  if (isApi && site !== undefined && site !== 'same-origin' && site !== 'none') throw new HttpError('HTTP_CROSS_ORIGIN');
}

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    // The engine is WebAssembly.
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};
