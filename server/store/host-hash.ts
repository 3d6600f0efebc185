/** The host's SHA-256, for images of tens of megabytes. */
import { createHash } from 'node:crypto';
import type { Hash } from '../../engine/recording/recipe.ts';

export function newHostHash(): Hash {
  const hash = createHash('sha256');
  return { update: (bytes) => hash.update(bytes), digestHex: () => hash.digest('hex') };
}
