import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { imagesFolder, loadCore, runKernel } from './harness.ts';

interface Manifest {
  readonly images: readonly { readonly file: string; readonly bytes: number; readonly sha256: string }[];
}
const manifest = JSON.parse(readFileSync(`${imagesFolder}manifest.json`, 'utf8')) as Manifest;
const core = loadCore();
/** A slice that cuts blocks, REP strings and interrupt shadows at ever other places. */
const ODD_SLICE = 9973;

describe.each(manifest.images)('$file', ({ file, sha256 }) => {
  const image = readFileSync(`${imagesFolder}${file}`);

  it('is what the manifest says', () => {
    expect(createHash('sha256').update(image).digest('hex')).toBe(sha256);
  });

  it('passes', () => {
    const report = runKernel(core, image);
    expect(report.failures).toEqual([]);
    if (file === 'triple-fault.elf') {
      expect(report.lines).toEqual(['about to triple fault']);
      expect(report.stop).toMatchObject({ kind: 'end', reason: 'triple-fault' });
      return;
    }
    expect(report.stop).toMatchObject({ kind: 'end', reason: 'debug-exit', detail: '1' });
    expect(report.passed).toBeGreaterThan(10);
    expect(report.lines.at(-1)).toBe(`${report.passed} passed, 0 failed`);
  }, 120_000);

  it('comes to the same state when the run is cut into slices', () => {
    expect(runKernel(core, image, ODD_SLICE).digest).toBe(runKernel(core, image).digest);
  }, 120_000);
});
