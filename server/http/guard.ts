/**
 * Who may talk to the server: pages that it served itself, and programs. A name that somebody points at this address (DNS
 * rebinding) is stopped by Host, a page of another site by Origin and Sec-Fetch-Site, a stranger on the network by the token.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { HttpError } from './errors.ts';
import { isSameSecret, tokenOf } from './token.ts';

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

export interface GuardOptions {
  /** Without one only loopback names are answered to. */
  readonly token?: string | undefined;
  /** Names of this host, beside loopback and plain addresses. Only with a token. */
  readonly hostNames?: readonly string[] | undefined;
}

/** Throws HttpError. */
export function guard(headers: IncomingHttpHeaders, isApi: boolean, options: GuardOptions = {}): void {
  const host = headers.host ?? '';
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase();
  if (!isOwnName(name, options)) throw new HttpError('HTTP_BAD_HOST');
  const { origin } = headers;
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) throw new HttpError('HTTP_CROSS_ORIGIN');
  const site = headers['sec-fetch-site'];
  // A link from elsewhere to the start page is welcome; use of the API from elsewhere is not.
  if (isApi && site !== undefined && site !== 'same-origin' && site !== 'none') throw new HttpError('HTTP_CROSS_ORIGIN');
}

/** An address cannot be rebound, as no name server is asked for it. */
function isOwnName(name: string, { token, hostNames = [] }: GuardOptions): boolean {
  if (LOOPBACK_NAMES.has(name)) return true;
  if (token === undefined) return false;
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || hostNames.some((each) => each.toLowerCase() === name);
}

/** Throws HttpError. */
export function checkToken(headers: IncomingHttpHeaders, { token }: GuardOptions): void {
  if (token !== undefined && !isSameSecret(tokenOf(headers) ?? '', token)) throw new HttpError('HTTP_NO_TOKEN');
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
