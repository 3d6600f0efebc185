/**
 * Vite: beside the pages of a server, `standalone.html` with everything in it but a recording. Scripts and styles are named in its content security policy by their hashes;
 * connections are forbidden, so a recording that was sent to somebody tells nobody that it was opened.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Plugin, type Rolldown, build } from 'vite';
import { RECORDING_MARK } from '../../engine/protocol/self-contained.ts';

const WORKERS: readonly string[] = ['log-worker', 'engine-worker', 'analysis-worker'];
/** From ui. */
const GUESTS = '../engine/guests';

export function standalonePage(): Plugin {
  let root = '';
  let output = '';
  let target: string[] = [];
  return {
    name: 'chronovisor-standalone',
    apply: 'build',
    configResolved(config) {
      root = config.root;
      output = join(root, config.build.outDir, 'standalone.html');
      target = [config.build.target].flat().filter((each) => typeof each === 'string');
    },
    async closeBundle() {
      const built = (await build({
        root,
        configFile: false,
        logLevel: 'warn',
        base: './',
        build: { write: false, target, assetsInlineLimit: 0, modulePreload: false, chunkSizeWarningLimit: 2000, rolldownOptions: { input: join(root, 'standalone/main.ts'), output: { codeSplitting: false } } },
        // A page from disk may not start a module as a worker from a text.
        worker: { format: 'iife' },
      })) as Rolldown.RolldownOutput;
      writeFileSync(output, page(built.output, readFileSync(join(root, 'theme.css'), 'utf8'), readFileSync(join(root, 'icon.svg')), sourcesIn(join(root, GUESTS))));
    },
  };
}

type Files = Rolldown.RolldownOutput['output'];

function page(files: Files, style: string, icon: Buffer, sources: Readonly<Record<string, string>>): string {
  const [main, ...others] = files.filter((file) => file.type === 'chunk');
  if (main === undefined || others.length > 0) throw new Error(`the self-contained page needs one script, and there are ${others.length + 1}`);
  const script = inScript(main.code);
  const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = [
    "default-src 'none'", `script-src ${hash(script)} blob: 'wasm-unsafe-eval'`, 'worker-src blob:', `style-src ${hash(style)}`, 'img-src data: blob:', "base-uri 'none'", "form-action 'none'",
  ].join('; '); // prettier-ignore
  const block = (name: string, base64: string): string => `<script type="text/plain" data-asset="${name}">${base64}</script>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Chronovisor</title>
<link rel="icon" href="data:image/svg+xml;base64,${icon.toString('base64')}">
<style>${style}</style>
</head>
<body>
<lab-app></lab-app>
<noscript>This file runs a recorded machine in this page and needs JavaScript.</noscript>
${block('core', bytesOf(files, /core-[\w-]{8}\.wasm$/).toString('base64'))}
${WORKERS.map((name) => block(name, zipped(bytesOf(files, new RegExp(`${name}-[\\w-]+\\.js$`))))).join('\n')}
${block('sources', zipped(JSON.stringify(sources)))}
${RECORDING_MARK}
<script type="module">${script}</script>
</body>
</html>
`;
}

const zipped = (content: string | Buffer): string => gzipSync(content, { level: 9 }).toString('base64');

/** Text by path below the folder: what `debug/sources.ts` has from the server. */
function sourcesIn(folder: string): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => /\.[chS]$/.test(path)).map((path) => path.replaceAll('\\', '/')).sort();
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(folder, path), 'utf8')]));
}

function bytesOf(files: Files, name: RegExp): Buffer {
  const file = files.find(({ fileName }) => name.test(fileName));
  if (file?.type !== 'asset') throw new Error(`the self-contained page needs ${name.source}, which the build did not make`);
  return Buffer.from(file.source);
}

/** HTML, 4.12.1.3: a script may not hold these; the same text to JavaScript, in strings and regular expressions. */
function inScript(code: string): string {
  return code.replace(/<\/(script)/gi, '<\\/$1').replaceAll('<!--', '\\x3c!--').trim();
}
