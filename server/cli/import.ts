/** `import`: text that perf, trace-cmd or the kernel printed, as a profile that `stat` and `profile` read. */
import { TextImport } from '../import/import-text.ts';
import { ImportError, ImportedFileWriter } from '../import/imported-file.ts';
import { FileSink, FileSource } from '../store/files.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { JSON_OPTION, QUIET_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { turn } from './host.ts';
import { toJson } from './output.ts';
import { signalStatus } from './signals.ts';

const CHUNK_BYTES = 1 << 18;
const STDIN = '-';

const SPEC: VerbSpec = {
  name: 'import',
  synopsis: 'TEXT|- -o FILE.json [options]',
  summary: 'Reads what other tools printed about exits of KVM: `perf script`, `trace-cmd report` and ftrace with kvm events, tables of `perf kvm stat`.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'output', short: 'o', value: 'FILE', help: 'where the profile goes; without it the text is only read and reported on' },
    { name: 'no-exits', help: 'write the profile alone, not each exit with its time' },
    QUIET_OPTION, JSON_OPTION,
  ],
  notes: ['- is stdin: `perf script | chronovisor import - -o FILE.json`. Which tool the text came from is found from its lines. Lines that were not understood are counted, and the first are shown.'],
};

export const importVerb: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, { out, err, signals }: Context): Promise<number> {
  const path = parsed.operands[0];
  const output = parsed.text('output');
  // stdin is read as it comes; nothing can be known of it before.
  const source = path === STDIN ? undefined : new FileSource(path, 'TEXT');
  const sink = output === undefined ? undefined : new FileSink(output, '-o');
  let isDone = false;
  try {
    const writer = sink === undefined ? undefined : new ImportedFileWriter(sink);
    const importer = new TextImport(path === STDIN ? 'stdin' : path, writer === undefined || parsed.has('no-exits') ? undefined : (exit) => writer.exit(exit));
    let begin: Uint8Array | undefined;
    for await (const bytes of source === undefined ? process.stdin : chunksOf(source)) {
      begin ??= bytes;
      importer.push(bytes);
      await turn();
      if (signals.received !== undefined) return signalStatus(signals.received);
    }
    const report = importer.end();
    if (report.kind === 'none' || report.profile === undefined) {
      const [first] = report.firstNotUnderstood;
      const what = binaryKind(begin ?? new Uint8Array(), path);
      if (what !== undefined) throw new ImportError('import-nothing', `${path} is no text: ${what}`);
      throw new ImportError('import-nothing', `${path} holds nothing about exits that is understood: ${report.lines} lines${first === undefined ? '' : `; line ${first.line} is "${first.text}"`}. Give text of \`perf script\`, \`trace-cmd report\` (with kvm events) or \`perf kvm stat report\``);
    }
    writer?.end(report);
    isDone = true;
    const { profile, ...rest } = report;
    if (parsed.has('json')) {
      out.write(`${toJson({ verb: 'import', file: path, ...(output !== undefined && { output }), ...rest, source: profile.source, exits: profile.exits, idleExits: profile.idleExits, notes: profile.notes }, 2)}\n`);
    } else if (!parsed.has('quiet')) {
      const lines = [`${profile.source.name}: ${profile.source.kind}${profile.source.under === undefined ? '' : ` (${profile.source.under})`}, ${grouped(report.lines)} lines, ${grouped(profile.exits)} exits${profile.idleExits === 0 ? '' : `, ${grouped(profile.idleExits)} of them sleep`}`];
      if (report.pairs !== undefined) lines.push(`  events: ${Object.entries(report.events).map(([event, count]) => `${event} ${count}`).join(', ')}`);
      for (const note of profile.notes) lines.push(`  ${note}`);
      if (output !== undefined) lines.push(`  written to ${output}: chronovisor stat ${output}`);
      out.write(`${lines.join('\n')}\n`);
    }
    if (report.notUnderstood > 0 && !parsed.has('json')) {
      err.write(`chronovisor: ${report.notUnderstood} of ${report.lines} lines were not understood:\n`);
      for (const { line, text, why } of report.firstNotUnderstood) err.write(`  ${line}: ${text}   [${why}]\n`);
      if (report.notUnderstood > report.firstNotUnderstood.length) err.write(`  ... and ${report.notUnderstood - report.firstNotUnderstood.length} more\n`);
    }
    return exitCode('ok');
  } finally {
    source?.close();
    if (isDone) sink?.close();
    else sink?.discard();
  }
}

function* chunksOf(source: FileSource): Generator<Uint8Array> {
  for (let at = 0; at < source.length; at += CHUNK_BYTES) yield source.read(at, Math.min(CHUNK_BYTES, source.length - at));
}

/** What a file of another kind is that people have beside such a text, and what makes the text of it. */
function binaryKind(begin: Uint8Array, path: string): string | undefined {
  const first = new TextDecoder('latin1').decode(begin.subarray(0, 16));
  if (first.startsWith('PERFILE2')) return `it is what \`perf record\` or \`perf kvm stat record\` wrote. Make text of it: perf script -i ${path} | chronovisor import - -o FILE.json`;
  if (first.startsWith('\x17\x08Dtracing')) return `it is what \`trace-cmd record\` wrote. Make text of it: trace-cmd report -i ${path} | chronovisor import - -o FILE.json`;
  if (first.startsWith('\x89CVLOG')) return `it is a recording of Chronovisor. It needs no import: chronovisor stat ${path}`;
  if (first.startsWith('\x1f\x8b') || first.startsWith('(\xb5/\xfd') || first.startsWith('\xfd7zXZ')) return 'it is compressed. Unpack it first';
  return undefined;
}
