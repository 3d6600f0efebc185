/** The pinned packages of manifest.json: exact versions, with hashes of the .deb files and of what is taken out of them. */
import { createRequire } from 'node:module';
// For its type, and so that the compiler copies the file; importing JSON itself still warns in Node 20.
import type manifestType from './manifest.json';

export type LinuxFlavour = 'cloud' | 'full';

export interface PinnedPackage {
  readonly package: string;
  readonly version: string;
  /** Of the .deb. */
  readonly sha256: string;
  /** SHA-256 by path in the package. */
  readonly files: Readonly<Record<string, string>>;
}

export interface Manifest {
  readonly architecture: string;
  readonly kernels: Readonly<Record<LinuxFlavour, PinnedPackage & { readonly metaPackage: string }>>;
  readonly busybox: PinnedPackage;
  /** What `test/performance` runs in v86, which is a 32-bit machine with firmware. */
  readonly v86: { readonly architecture: string; readonly kernel: PinnedPackage; readonly busybox: PinnedPackage; readonly firmware: PinnedPackage };
}

export const MANIFEST: Manifest = createRequire(import.meta.url)('./manifest.json') as typeof manifestType;
