/** Promise: in Chromium compiled code changes nothing either. Recordings by Node's interpreter replay identically there, interpreted, with everything compiled before it first runs, and by default. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JitMode, setJitMode } from '../../engine/jit/jit.ts';
import { type Case, labCases, tinyCases } from '../determinism/cases.ts';
import { core, open, record, replay } from '../determinism/runs.ts';
import { keepsTheMode } from '../jit/lock-step.ts';
import { imagesFolder } from '../privileged/harness.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, ROOT, startLab, verifyOnPage } from './lab.ts';

const TIMEOUT_MS = 300_000;
/** Hot enough for the default mode, too long for the others. */
const TRACE = 'bug-lost-update';

/** A kernel of test/privileged. */
const privileged = (kernel: Uint8Array): Case => ({
  story: '', images: { kernel }, blockBytes: 65_536, diskBytes: 0, drive: { slices: [1_000_000], inputs: [], flushEvery: 0, markEvery: 0, instructionsMax: 200_000_000 },
  recipe: {
    guest: 'privileged', commandLine: '', protocol: 'auto', epochInstructions: 1_000_000, digestInstructions: 5_000_000,
    machine: { memoryBytes: 32 << 20, seed: '0000000000000001', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 1000 },
  },
}); // prettier-ignore

interface Told {
  readonly name: string;
  readonly digest: string;
  readonly position: number;
  readonly records: number;
}

keepsTheMode();

describe.skipIf(NO_BROWSER)('compiled code in Chromium', () => {
  let folder: string;
  let lab: Lab;
  const all: Told[] = [];

  /** Keeps a log and what a replay in Node, interpreted, says of it. */
  function keep(name: string, log: Uint8Array, kernel: Uint8Array): string {
    const status = replay(log, { kernel });
    if (status.kind !== 'identical') throw new Error(`${name} does not replay in Node`);
    const { lastPosition, records } = open(log);
    writeFileSync(join(folder, `${name}.cvlog`), log);
    all.push({ name, digest: status.digest, position: lastPosition, records });
    const image = join(folder, `${name}.elf`);
    writeFileSync(image, kernel);
    return image;
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-jit-'));
    core();
    setJitMode('off');
    const images: string[] = [];
    const log = readFileSync(`${ROOT}traces/${TRACE}.cvlog`);
    const reader = open(log);
    images.push(keep(TRACE, log, reader.image(reader.header.images[0].sha256)!));
    const drawn = fc.sample(fc.oneof({ weight: 4, arbitrary: tinyCases(60_000, 100) }, { weight: 1, arbitrary: labCases(400_000) }), { seed: 7, numRuns: 8 });
    drawn.filter(({ diskBytes }) => diskBytes === 0).slice(0, 3).forEach((one, i) => images.push(keep(`drawn-${i}`, record(one).bytes, one.images.kernel)));
    for (const file of readdirSync(imagesFolder).filter((each) => each.endsWith('.elf'))) {
      const one = privileged(readFileSync(join(imagesFolder, file)));
      images.push(keep(file.replace('.elf', ''), record(one).bytes, one.images.kernel));
    }
    lab = await startLab([{ name: 'jit', path: folder }], images);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  for (const mode of ['off', 'on', 'always'] as const satisfies readonly JitMode[]) {
    it(`${mode}: the digests of Node's interpreter`, async () => {
      for (const { name, ...told } of all.filter((each) => each.name !== TRACE || mode === 'on')) {
        const page = await lab.open(`/?jit=${mode}#/recording/${encodeURIComponent(`jit:${name}`)}?at=0`);
        await page.locator('[data-testid=verify]:not([disabled])').waitFor({ timeout: TIMEOUT_MS });
        expect(await verifyOnPage(page, TIMEOUT_MS), name).toEqual({ kind: 'identical', ...told });
        const names = await Promise.all(page.workers().map((worker) => worker.evaluate(() => (globalThis as unknown as { name: string }).name)));
        expect(names).toContain(`engine-worker?jit=${mode}`);
        await page.close();
      }
      expect(lab.errors).toEqual([]);
    }, TIMEOUT_MS);
  }

  it('says which modes there are', async () => {
    const page = await lab.open(`/?jit=fast#/recording/${encodeURIComponent(`jit:${TRACE}`)}?at=0`);
    await page.getByText('The address asks for jit=fast').first().waitFor({ timeout: 20_000 });
    await page.close();
  }, TIMEOUT_MS);
});
