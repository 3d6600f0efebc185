/** `record` and `run`: a guest with its log, and without. */
import { basename } from 'node:path';
import { type Recipe, type RunImages, PARAVIRT_REGIMES, PARA_REGIME, RECORDED_REGIMES, DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS } from '../../engine/recording/recipe.ts';
import { InputScript, parseScript, ScriptError } from '../../engine/recording/input-script.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import { DEFAULT_SPACING, Indexer, indexStep } from '../../engine/recording/indexer.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { VirtioKind } from '../../engine/machine/machine.ts';
import { PARAVIRT_KINDS } from '../../engine/machine/paravirt/paravirt.ts';
import type { BootChoice } from '../../engine/machine/boot/plan.ts';
import { type Position, parsePosition } from '../../engine/log/position.ts';
import { LogError } from '../../engine/log/errors.ts';
import { indexPath, saveIndex } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSink, FileSource, readImage, readText } from '../store/files.ts';
import { type NamedGuest, openDisk, openNamedGuest } from '../store/guest-images.ts';
import { newHostHash } from '../store/host-hash.ts';
import { openLog } from '../../engine/log/open-log.ts';
import { RecipeSettingError, guestFor, recipeOf } from '../store/guest-recipe.ts';
import { LAB_GUEST, LAB_PV_GUEST } from '../store/lab-guests.ts';
import { ownPackage } from '../store/package-root.ts';
import type { Arguments, OptionSpec, VerbSpec } from './arguments.ts';
import { JSON_OPTION, QUIET_OPTION } from './common-options.ts';
import { JIT_OPTIONS, applyJit, jitLines } from './jit-options.ts';
import type { Context, Verb } from './context.ts';
import { type DriveEnd, LiveInput, drive } from './drive.ts';
import { type ExitName, exitCode, exitNameOfEnd } from './exit-codes.ts';
import { grouped, megabytes, virtualTime } from './format.ts';
import { monotonicMs, newLogId, wallClockNs } from './host.ts';
import { toJson } from './output.ts';
import { Progress } from './progress.ts';
import { instructions } from './quantities.ts';
import { signalStatus } from './signals.ts';
import { TERMINAL_HELP, Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

const BOOT_CHOICES: readonly BootChoice[] = ['auto', 'pvh', 'linux64', 'multiboot'];
const VIRTIO_KINDS: readonly VirtioKind[] = ['console', 'block', 'net', 'rng'];
const DEFAULT_IDLE_LIMIT_S = 60;

const GUEST_OPTIONS: readonly OptionSpec[] = [
  { name: 'kernel', value: 'FILE', help: 'a kernel: bzImage, ELF with PVH entry, 64-bit vmlinux or Multiboot 1' },
  { name: 'initrd', value: 'FILE', help: 'its initrd' },
  { name: 'append', value: 'TEXT', help: "the kernel's command line, instead of the guest's own" },
  { name: 'disk', value: 'FILE', help: 'a raw disk image; the guest sees writes, the file is never written' },
  { name: 'memory', short: 'm', value: 'SIZE', help: 'of the machine: 128M, 1G' },
  { name: 'boot', value: 'PROTOCOL', help: `${BOOT_CHOICES.join(', ')} (default: auto)` },
  { name: 'acpi', help: 'a machine with ACPI tables, local APIC and I/O APIC (default if there is a disk or --virtio)' },
  { name: 'no-acpi', help: 'the machine without them, which boots quicker' },
  { name: 'virtio', value: 'LIST', help: `devices, in the order of their slots: ${VIRTIO_KINDS.join(',')}` },
  { name: 'regime', value: 'NAME', help: `what the recording is labelled with (default: native): ${RECORDED_REGIMES.join(', ')}; see below` },
  { name: 'pv', value: 'KIND', help: `the paravirtual interface of the hypervisor, offered to the guest under --regime ${PARAVIRT_REGIMES.join(' or ')}: ${PARAVIRT_KINDS.join(', ')}` },
  { name: 'seed', value: 'N', help: 'of RDRAND and the entropy device, decimal or 0x... (default: 1)' },
  { name: 'wall-clock', value: 'NS', help: 'at power-on, ns since 1970, or "now" (default: now)' },
  { name: 'input', short: 'i', value: 'SCRIPT', help: 'a file that says what to type when; - is stdin' },
  { name: 'until', value: 'TEXT|@POS', multiple: true, help: 'ends the run when the console shows the text, or at the position' },
  { name: 'idle-limit', value: 'SECONDS', help: `gives up a guest that is idle for so long, in virtual time (default: ${DEFAULT_IDLE_LIMIT_S}; 0: never); not at a terminal` },
];

const OUTPUT_OPTIONS: readonly OptionSpec[] = [...JIT_OPTIONS, QUIET_OPTION, JSON_OPTION];

const NOTES = [
  `The regimes ${RECORDED_REGIMES.filter((name) => name !== PARA_REGIME).join(', ')} are the same machine: an unmodified guest cannot tell them apart, and one recording answers for all (\`compare\`). What --pv offers a guest does see: with it, it runs otherwise.`,
  `--regime ${PARA_REGIME} is another machine: a guest kernel built for it (${LAB_GUEST} has one, ${LAB_PV_GUEST}) makes hypercalls to a VMM in the line of Xen PV.`,
  "The guest's console goes to stdout, everything else to stderr. With --json the console goes to stderr.",
  `At a terminal (stdin and stdout, no --input, no --json) keys go to the guest: ${TERMINAL_HELP.join('; ')}.`,
];

const RECORD: VerbSpec = {
  name: 'record',
  synopsis: '[GUEST] -o FILE [options]',
  summary: 'Runs a guest and writes everything that happens to a new log. GUEST: lab (default), bug-..., linux, linux-full: see `guest list`.',
  operands: { min: 0, max: 1 },
  options: [
    { name: 'output', short: 'o', value: 'FILE', help: 'the log; never written over' },
    ...GUEST_OPTIONS,
    { name: 'digest-every', value: 'N', help: `instructions between digests, 0 for the last one only (default: ${DEFAULT_DIGEST_INSTRUCTIONS / 1e6}M)` },
    { name: 'epoch', value: 'T', help: `running time between sets of dirtied pages, such as 100us, or instructions; 0 for none (default: ${DEFAULT_EPOCH_INSTRUCTIONS / 1e6}M)` },
    { name: 'first-writes', help: 'the sets have the position of the first write to each page, and which of them are zeros: `dirty` and `migrate` need no replay for that' },
    { name: 'index', help: 'takes checkpoints on the way and keeps them in FILE.index, as `index` does afterwards' },
    { name: 'flush-every', value: 'SECONDS', help: 'between syncs, which is what a crash may lose (default: 1; 0: only full blocks, and at the end)' },
    ...OUTPUT_OPTIONS,
  ],
  notes: NOTES,
};

const RUN: VerbSpec = {
  name: 'run',
  synopsis: '[GUEST] [options]',
  summary: 'Runs a guest as `record` does, without a log.',
  operands: { min: 0, max: 1 },
  options: [...GUEST_OPTIONS, ...OUTPUT_OPTIONS],
  notes: NOTES,
};

export const record: Verb = { spec: RECORD, run: (parsed, context) => start(parsed, context, true) };
export const run: Verb = { spec: RUN, run: (parsed, context) => start(parsed, context, false) };

interface Run {
  readonly recipe: Recipe;
  readonly images: RunImages;
}

async function start(parsed: Arguments, context: Context, isRecorded: boolean): Promise<number> {
  // Everything that can be wrong with the arguments is found before anything is made.
  const output = parsed.text('output');
  if (isRecorded && output === undefined) throw new UsageError('record needs a name for the log: -o FILE', 'record');
  const flushMs = (parsed.seconds('flush-every') ?? 1) * 1000;
  const idleLimitS = parsed.seconds('idle-limit') ?? DEFAULT_IDLE_LIMIT_S;
  if (parsed.has('first-writes') && instructions(parsed, 'epoch', 0) === 0) throw new UsageError('--first-writes needs dirty sets: not --epoch 0', 'record');
  const until = untilOf(parsed);
  const script = scriptOf(parsed);
  applyJit(parsed);
  const sink = output === undefined ? undefined : new FileSink(output, '-o');
  const { recipe, images } = await runOf(parsed);
  const module = loadCore();

  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  const isLive = !parsed.has('input') && !isJson && !isQuiet && process.stdin.isTTY === true && context.out.isTerminal;
  const consoleOut = isQuiet ? undefined : isJson ? context.err : context.out;
  const texts = until.texts.map((text) => new InputScript([{ kind: 'until', text }]));
  const watchers = script === undefined ? texts : [script, ...texts];
  const shown = new ConsoleBuffer();

  const startMs = monotonicMs();
  let recorder: Recorder;
  try {
    recorder = new Recorder({
      recipe,
      images,
      module,
      newHash: newHostHash,
      outputs: {
        console: (byte) => {
          for (const watcher of watchers) watcher.output(byte);
          shown.push(byte);
        },
      },
      log: sink === undefined ? undefined : { sink, id: newLogId(), product: `chronovisor ${ownPackage().version}` },
    });
  } catch (error) {
    // Nothing of the run is in the file yet.
    if (sink?.discard() === true) context.err.write(`chronovisor: nothing was recorded, and no ${sink.path} was left behind\n`);
    throw error;
  }

  const indexer = sink !== undefined && parsed.has('index') ? new Indexer({ powerOn: copyCheckpoint(recorder.machine, recorder.save()) }) : undefined;
  // A line that is redrawn and a guest that draws its own screen do not go together.
  const progress = new Progress(context.err, !isQuiet && !isLive);
  const state = () => ({ position: recorder.position, virtualNs: recorder.position + recorder.machine.timeOffsetNs, logBytes: sink === undefined ? undefined : recorder.logBytes });
  const live = isLive ? new LiveInput() : undefined;
  const terminal = live === undefined ? undefined : openTerminal(context, recorder, live, () => progress.line(state(), progress.mips(recorder.position)));
  if (live !== undefined) context.signals.onSignal = () => live.notify();
  context.signals.onAbort = () => terminal?.close();

  let end: DriveEnd;
  try {
    end = await drive({
      recorder,
      script,
      untilTexts: texts,
      untilPosition: until.position,
      idleLimitNs: idleLimitS === 0 ? Infinity : idleLimitS * 1e9,
      flushMs,
      signals: context.signals,
      live,
      isConsoleClosed: () => consoleOut?.isClosed === true,
      afterStep: () => {
        const bytes = shown.take();
        if (bytes.length > 0 && consoleOut !== undefined) {
          if (consoleOut.isTerminal) progress.beforeConsole(bytes);
          consoleOut.write(bytes);
        }
        progress.update(state());
        indexer?.visit(recorder, () => recorder.save(), recorder.machine);
        return bytes.length > 0;
      },
    });
  } catch (error) {
    if (error instanceof LogError && error.code === 'LOG_WRITE_FAILED' && sink !== undefined) {
      progress.clear();
      context.err.write(`chronovisor: the recording stopped at @${recorder.position}; ${sink.path} keeps what was written before\n`);
    }
    throw error;
  } finally {
    terminal?.close();
    context.signals.onAbort = undefined;
    context.signals.onSignal = undefined;
    progress.clear();
    sink?.close();
  }

  const index = indexer === undefined || sink === undefined ? undefined : keepIndex(sink.path, indexer, images, module);
  const seconds = (monotonicMs() - startMs) / 1000;
  const isScriptDone = script === undefined || script.waitingFor === undefined;
  const name = exitNameOf(end, isScriptDone);
  const status = end.cause.kind === 'signal' ? signalStatus(end.cause.signal) : exitCode(name);
  const { reason, detail, digest } = end.status;
  const { position } = recorder;
  const mips = position / seconds / 1e6;
  if (isJson) {
    context.out.write(
      `${toJson({
        verb: parsed.verb,
        guest: recipe.guest,
        end: { cause: end.cause.kind, reason, detail },
        isScriptDone,
        position,
        virtualNs: state().virtualNs,
        digest,
        seed: recipe.machine.seed,
        wallClockNs: recipe.machine.wallClockNs,
        ...(sink !== undefined && { log: { file: sink.path, id: recorder.header?.id, bytes: recorder.logBytes, records: recorder.records } }),
        ...(index !== undefined && { index }),
        seconds,
        mips,
        ...(parsed.has('jit-stats') && { jit: recorder.machine.jit?.statistics() ?? null }),
        exitCode: status,
      })}\n`,
    );
  } else if (!isQuiet) {
    if (shown.isInLine) context.err.write('\n');
    context.err.write(`chronovisor: ${sentenceOf(end)}\n`);
    context.err.write(`  @${grouped(position)}, ${virtualTime(state().virtualNs)} of virtual time, ${seconds.toFixed(1)} s, ${mips.toFixed(1)} MIPS, digest ${digest}\n`);
    if (sink !== undefined) context.err.write(`  ${sink.path}: ${grouped(recorder.records)} events, ${megabytes(recorder.logBytes)}\n`);
    if (index !== undefined) context.err.write(`  ${index.file}: ${index.checkpoints} checkpoints, ${megabytes(index.bytes)}\n`);
    if (parsed.has('jit-stats')) for (const line of jitLines(recorder.machine.jit?.statistics(), position)) context.err.write(`  ${line}\n`);
    if (until.isAsked && end.cause.kind === 'guest') context.err.write('  the run ended before --until was reached\n');
    if (!isScriptDone && end.cause.kind !== 'until') {
      context.err.write(`  the input script still waited for ${JSON.stringify(script?.waitingFor?.text)}\n`);
    }
  }
  return status;
}

/** The end is near, too: what comes after the last checkpoint is replayed, for one just before the end of the log. */
function keepIndex(log: string, indexer: Indexer, images: RunImages, module: WebAssembly.Module): { readonly file: string; readonly checkpoints: number; readonly bytes: number } {
  const { store } = indexer;
  const source = new FileSource(log, 'the recording');
  try {
    const replayer = new Replayer({ reader: openLog(source).reader, images, module });
    if (store.checkpoints.length > 0) replayer.restore(store.open(store.checkpoints.length - 1));
    while (indexStep(replayer, indexer, DEFAULT_SPACING).kind === 'running');
    return { file: indexPath(log), checkpoints: store.checkpoints.length, bytes: saveIndex(log, openLog(source).reader, store) };
  } finally {
    source.close();
  }
}

function exitNameOf({ cause, status }: DriveEnd, isScriptDone: boolean): ExitName {
  switch (cause.kind) {
    case 'until':
    case 'quit':
    case 'closed':
    case 'moved':
    case 'signal':
      return 'ok';
    case 'waiting':
      return isScriptDone ? 'waiting' : 'script';
    case 'guest': {
      const name = exitNameOfEnd(status.reason, status.detail);
      return name === 'ok' && !isScriptDone ? 'script' : name;
    }
  }
}

function sentenceOf({ cause, status }: DriveEnd): string {
  const { reason, detail } = status;
  if (cause.kind !== 'guest') return detail;
  switch (reason) {
    case 'debug-exit':
      return detail === '1' ? 'the guest ended with success (debug exit 1)' : `the guest failed: debug exit ${detail}`;
    case 'triple-fault':
      return `the guest ended with a triple fault ${detail}`;
    case 'halted':
      return `the guest halted for good: ${detail}`;
    default:
      return detail;
  }
}

// ---- from arguments to a run ----

async function runOf(parsed: Arguments): Promise<Run> {
  const kernelFile = parsed.text('kernel');
  const askedGuest = parsed.operands.at(0);
  const askedRegime = parsed.text('regime');
  const guestName = kernelFile === undefined ? guestFor(askedGuest ?? LAB_GUEST, askedRegime) : askedGuest;
  const named = guestName === undefined ? undefined : await openNamedGuest(guestName);
  const initrdFile = parsed.text('initrd');
  const diskFile = parsed.text('disk');
  const kernel = kernelFile === undefined ? (named as NamedGuest).kernel : readImage(kernelFile, '--kernel');
  const images: RunImages = {
    kernel,
    initrd: initrdFile === undefined ? named?.initrd : readImage(initrdFile, '--initrd'),
    disk: diskFile === undefined ? undefined : openDisk(diskFile),
  };

  const listed = parsed.words('virtio', VIRTIO_KINDS) ?? [];
  if (listed.includes('block') && diskFile === undefined) throw new UsageError('--virtio block needs an image: --disk FILE', parsed.verb);
  const regime = askedRegime ?? named?.regime;
  const virtio: readonly VirtioKind[] = diskFile === undefined || regime === PARA_REGIME || listed.includes('block') ? listed : [...listed, 'block'];
  if (parsed.has('acpi') && parsed.has('no-acpi')) throw new UsageError('--acpi and --no-acpi exclude each other', parsed.verb);
  for (const name of ['initrd', 'boot']) if (regime === PARA_REGIME && parsed.has(name)) throw new UsageError(`--${name} does not go with --regime ${PARA_REGIME}: its guest has a console and, with --disk, a disk`, parsed.verb);
  const protocol = parsed.text('boot') ?? 'auto';
  if (!BOOT_CHOICES.some((choice) => choice === protocol)) throw parsed.wrong('boot', protocol, `one of ${BOOT_CHOICES.join(', ')}`);
  try {
    const recipe = recipeOf({
      guest: guestName ?? basename(kernelFile as string),
      named: kernelFile === undefined ? named : named && { ...named, regime: undefined },
      commandLine: parsed.text('append'),
      memoryBytes: parsed.bytes('memory'),
      protocol: protocol as BootChoice,
      regime: askedRegime,
      pv: parsed.text('pv'),
      acpi: parsed.has('acpi') ? true : parsed.has('no-acpi') ? false : undefined,
      virtio,
      seed: parsed.text('seed'),
      wallClockNs: wallClockOf(parsed),
      epochInstructions: instructions(parsed, 'epoch', 0),
      digestInstructions: parsed.count('digest-every'),
      firstWrites: parsed.has('first-writes'),
    });
    return { images, recipe };
  } catch (error) {
    if (!(error instanceof RecipeSettingError)) throw error;
    throw new UsageError(`--${error.message}`, parsed.verb);
  }
}

function wallClockOf(parsed: Arguments): string {
  const text = parsed.text('wall-clock') ?? 'now';
  if (text === 'now') return wallClockNs();
  if (!/^\d{1,19}$/.test(text)) throw parsed.wrong('wall-clock', text, '"now" or ns since 1970-01-01 UTC, such as 1700000000000000000');
  return text;
}

function untilOf(parsed: Arguments): { readonly position: Position | undefined; readonly texts: readonly string[]; readonly isAsked: boolean } {
  let position: Position | undefined;
  const texts: string[] = [];
  const all = parsed.all('until');
  for (const text of all) {
    const at = parsePosition(text);
    if (at !== undefined) position = at;
    else if (text === '' || /^@[\d_]*$/.test(text)) throw parsed.wrong('until', text, 'a text, or a position such as @1234567');
    else texts.push(text);
  }
  return { position, texts, isAsked: all.length > 0 };
}

function scriptOf(parsed: Arguments): InputScript | undefined {
  const file = parsed.text('input');
  if (file === undefined) return undefined;
  const source = readText(file, '--input');
  try {
    return new InputScript(parseScript(source));
  } catch (error) {
    if (error instanceof ScriptError) throw new UsageError(`the input script ${file}: ${error.message}`, parsed.verb);
    throw error;
  }
}

// ---- console ----

function openTerminal(context: Context, recorder: Recorder, live: LiveInput, statusLine: () => string): Terminal {
  const say = (text: string): void => context.err.write(`\r\n${text}\r\n`);
  context.err.write('chronovisor: keys go to the guest; Ctrl-A H for help, Ctrl-A X to end the run\n');
  return new Terminal(process.stdin, {
    quit: () => live.quit(),
    help: () => say(TERMINAL_HELP.join('\r\n')),
    status: () => say(statusLine()),
    input: (bytes) => {
      try {
        recorder.input(bytes);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        say(`chronovisor: ${error.message}; what was typed now is dropped`);
      }
      live.notify();
    },
  });
}

/** Console bytes between two writes. */
class ConsoleBuffer {
  /** The console stands in the middle of a line. */
  isInLine = false;
  private bytes = new Uint8Array(8192);
  private used = 0;

  push(byte: number): void {
    if (this.used === this.bytes.length) {
      const larger = new Uint8Array(this.bytes.length * 2);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes[this.used++] = byte;
  }

  /** A copy of what came since the last call. */
  take(): Uint8Array {
    const bytes = this.bytes.slice(0, this.used);
    if (this.used > 0) this.isInLine = this.bytes[this.used - 1] !== 0x0a;
    this.used = 0;
    return bytes;
  }
}
