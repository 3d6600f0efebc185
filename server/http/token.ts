/** The secret that a server needs when it listens beyond loopback: in a header for programs, in a cookie for pages. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export const TOKEN_COOKIE = 'chronovisor-token';
export const TOKEN_LENGTH_MIN = 16;

/** Takes the same time for every guess: both are hashed first, so that their lengths do not show either. */
export function isSameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** What the request gives as its token; undefined: nothing. */
export function tokenOf({ authorization, cookie }: IncomingHttpHeaders): string | undefined {
  const bearer = /^Bearer ([\x21-\x7e]{1,1000})$/i.exec(authorization ?? '');
  if (bearer !== null) return bearer[1];
  for (const part of (cookie ?? '').split(';')) {
    const at = part.indexOf('=');
    if (at > 0 && part.slice(0, at).trim() === TOKEN_COOKIE) return decoded(part.slice(at + 1).trim());
  }
  return undefined;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

export function tokenCookie(token: string): string {
  return `${TOKEN_COOKIE}=${encodeURIComponent(token)}; Path=/; HttpOnly; SameSite=Strict`;
}
