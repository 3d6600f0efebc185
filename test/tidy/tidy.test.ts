/** What a program can check about the house: who imports whom, what is committed, what is documented. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** From ground to roof: a folder imports only those before it. */
const LAYERS = ['cpu', 'jit', 'devices', 'machine', 'log', 'regimes', 'recording', 'analysis', 'debug', 'guests', 'protocol'];
/** Types of these may be imported from anywhere in the engine. */
const TYPES_FROM_ANYWHERE = ['log', 'protocol'];
const RXJS_FROM = LAYERS.indexOf('analysis');

function tracked(): string[] {
  return execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(root, file)));
}
const files = tracked();

interface Import {
  readonly file: string;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

export function importsOf(file: string, source: string): Import[] {
  const found: Import[] = [];
  const pattern = /^\s*(?:import|export)\s+(type\s+)?(?:[^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
  for (const match of source.matchAll(pattern)) {
    const names = /\{([^}]*)\}/.exec(match[0])?.[1];
    const allTypes = names !== undefined && !/^\s*(?:import|export)\s+\w+\s*,/.test(match[0]) && names.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type '));
    found.push({ file, specifier: match[2], typeOnly: match[1] !== undefined || allTypes });
  }
  for (const match of source.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) found.push({ file, specifier: match[1], typeOnly: false });
  return found;
}

/** Comments become blanks, lines stay where they are. */
function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')).replace(/\/\/.*$/gm, '');
}

const isTest = (file: string): boolean => /\.(test|bench|fuzz)\.ts$/.test(file) || /(^|\/)testing\.ts$/.test(file);
const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));
const imports = sources.flatMap((file) => importsOf(file, readFileSync(join(root, file), 'utf8')));
const target = ({ file, specifier }: Import): string => normalize(join(dirname(file), specifier)).split(sep).join('/');

describe('imports', () => {
  it('are found at all', () => {
    expect(importsOf('a.ts', "import { a } from './b.ts';\nimport type { c } from './d.ts';\nexport { e } from './f.ts';\nimport { type G } from './g.ts';")).toEqual([
      { file: 'a.ts', specifier: './b.ts', typeOnly: false },
      { file: 'a.ts', specifier: './d.ts', typeOnly: true },
      { file: 'a.ts', specifier: './f.ts', typeOnly: false },
      { file: 'a.ts', specifier: './g.ts', typeOnly: true },
    ]);
    expect(imports.length).toBeGreaterThan(200);
  });

  it('engine code imports nothing outside the engine, but rxjs from analysis upwards', () => {
    const wrong = imports
      .filter(({ file }) => file.startsWith('engine/') && !isTest(file))
      .filter((each) => {
        if (each.specifier.startsWith('.')) return !target(each).startsWith('engine/');
        const layer = LAYERS.indexOf(each.file.split('/')[1]);
        return !(each.specifier === 'rxjs' && layer >= RXJS_FROM);
      });
    expect(wrong).toEqual([]);
  });

  it('a folder of the engine imports only those below it', () => {
    const wrong = imports
      .filter(({ file, specifier }) => file.startsWith('engine/') && !isTest(file) && specifier.startsWith('.'))
      .filter((each) => {
        const from = each.file.split('/')[1];
        const to = target(each).split('/')[1];
        if (from === to) return false;
        if (each.typeOnly && TYPES_FROM_ANYWHERE.includes(to)) return false;
        return LAYERS.indexOf(to) > LAYERS.indexOf(from) || LAYERS.indexOf(to) < 0;
      });
    expect(wrong).toEqual([]);
  });

  it('ui and server do not import each other', () => {
    const wrong = imports.filter((each) => {
      if (!each.specifier.startsWith('.') || isTest(each.file)) return false;
      const to = target(each);
      return (each.file.startsWith('ui/') && !to.startsWith('ui/') && !to.startsWith('engine/')) || (each.file.startsWith('server/') && !to.startsWith('server/') && !to.startsWith('engine/'));
    });
    expect(wrong).toEqual([]);
  });
});

describe('the engine is closed', () => {
  it('reads no clock, no random numbers, no host', () => {
    const forbidden = /(?<![\w.])(Date\.|new Date\b|performance\.|Math\.random|setTimeout\(|setInterval\(|process\.|require\('|globalThis|document\.|navigator\.|crypto\.|fetch\()/;
    const wrong = sources
      .filter((file) => file.startsWith('engine/') && !isTest(file))
      .flatMap((file) =>
        withoutComments(readFileSync(join(root, file), 'utf8'))
          .split('\n')
          .map((text, i) => ({ file, line: i + 1, text }))
          .filter(({ text }) => forbidden.test(text)),
      );
    expect(wrong).toEqual([]);
  });
});

describe('the tree', () => {
  it('has only the top-level entries of the design', () => {
    const known = new Set(['package.json', 'package-lock.json', 'tsconfig.json', 'vitest.config.ts', 'engine', 'server', 'ui', 'traces', 'test', 'README.md', 'LICENSE']);
    expect([...new Set(files.map((file) => file.split('/')[0]))].filter((entry) => !entry.startsWith('.') && !known.has(entry))).toEqual([]);
  });

  it('holds no large file, and no binary but guests, fonts and recordings', () => {
    const large = files.filter((file) => statSync(join(root, file)).size > 1024 * 1024);
    expect(large).toEqual([]);
    const binary = files.filter((file) => {
      if (/^(engine\/guests\/images\/|test\/privileged\/|traces\/)/.test(file) || /\.woff2?$/.test(file)) return false;
      return readFileSync(join(root, file)).subarray(0, 8000).includes(0);
    });
    expect(binary).toEqual([]);
  });

  it('names no path of a machine and no registry', () => {
    const pattern = /\/(work|farm)\/|\/tmp\/bash_jobs|registry\.npmjs|"resolved": *"https?:|registry *= *https?:/;
    const wrong = files
      .filter((file) => file !== 'test/tidy/tidy.test.ts' && !/\.(elf|cvlog|woff2?|png)$/.test(file))
      .filter((file) => pattern.test(readFileSync(join(root, file), 'utf8')));
    expect(wrong).toEqual([]);
  });

  it('says in a README what each folder is for', () => {
    const folders = ['engine', 'server', 'test'].flatMap((top) =>
      readdirSync(join(root, top), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => join(top, entry.name)),
    );
    const own = [...folders, 'engine', 'server', 'ui', 'traces', 'test'].filter((folder) => files.some((file) => file.startsWith(`${folder.split(sep).join('/')}/`)));
    expect(own.filter((folder) => !existsSync(join(root, folder, 'README.md')) && !files.some((file) => relative(folder, file) === 'README.md'))).toEqual([]);
  });

  it('has no skipped, focused or empty tests', () => {
    const wrong = sources
      .filter((file) => /\.test\.ts$/.test(file) && file !== 'test/tidy/tidy.test.ts')
      .filter((file) => /\b(it|test|describe)\.(only|todo)\b/.test(readFileSync(join(root, file), 'utf8')));
    expect(wrong).toEqual([]);
  });
});
