/** Records a Linux guest with an input script, and replays it. Shared by the tests here, by test/browser and by test/performance. */
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import type { BlockBacking } from '../../engine/devices/virtio-block/virtio-block.ts';
import { DEFAULT_ACCESS_COST_NS, type Machine, type VirtioKind } from '../../engine/machine/machine.ts';
import type { ParavirtKind } from '../../engine/machine/paravirt/paravirt.ts';
import { InputScript, parseScript } from '../../engine/recording/input-script.ts';
import { DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS, type Recipe, type RunImages } from '../../engine/recording/recipe.ts';
import { Recorder, type RecorderStatus } from '../../engine/recording/recorder.ts';
import { Replayer, type ReplayStatus } from '../../engine/recording/replayer.ts';
import { fetchLinux } from '../../server/guests/fetch.ts';
import type { LinuxFlavour } from '../../server/guests/manifest.ts';
import { readGuestImage } from '../../server/guests/store.ts';

export { loadCore } from '../../server/store/core-module.ts';

const MIB = 1 << 20;
/** Instructions between looks at what the script wants to type. */
const SLICE_INSTRUCTIONS = 1_000_000;

export interface LinuxGuest {
  readonly name: string;
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}

/** From the store; fetched through apt if it is not there. */
export async function loadLinux(flavour: LinuxFlavour = 'cloud'): Promise<LinuxGuest> {
  const stored = await fetchLinux({ flavour });
  const { guest } = stored;
  return {
    name: guest.name,
    kernel: await readGuestImage(stored, guest.kernel),
    initrd: await readGuestImage(stored, guest.initrd),
    commandLine: guest.commandLine,
  };
}

/** A disk image in memory that notices if anybody writes to it. */
export class MemoryDisk implements BlockBacking {
  readonly bytes: Uint8Array;
  private readonly original: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.original = bytes.slice();
  }
  get byteLength(): number {
    return this.bytes.length;
  }
  read(offset: number, length: number): Uint8Array {
    return this.bytes.slice(offset, offset + length);
  }
  get isUntouched(): boolean {
    return Buffer.compare(this.bytes, this.original) === 0;
  }
}

export interface LinuxRun {
  readonly guest: LinuxGuest;
  /** See input-script.ts. */
  readonly script: string;
  readonly memoryMib?: number;
  readonly acpi?: boolean;
  readonly pv?: ParavirtKind;
  readonly virtio?: readonly VirtioKind[];
  readonly disk?: BlockBacking;
  /** Added to the command line. */
  readonly append?: string;
  readonly initrd?: Uint8Array;
  /** False: run without a log, without epochs and digests. */
  readonly record?: boolean;
  readonly epochInstructions?: number;
  readonly digestInstructions?: number;
  /** A run that is longer than this is stopped: the guest hangs. */
  readonly instructionsMax?: number;
  /** Called with each line of the serial console and the position at which it ended. */
  readonly onLine?: (line: string, position: number) => void;
  /** Called between slices with what there is of the log: whole blocks, without a footer. */
  readonly onLog?: (log: MemorySink) => void;
}

export interface LinuxRecording {
  /** Empty if not recorded. */
  readonly log: Uint8Array;
  readonly images: RunImages;
  readonly machine: Machine;
  readonly status: Extract<RecorderStatus, { kind: 'ended' }>;
  readonly position: number;
  readonly records: number;
  readonly console: string;
  readonly virtioConsole: string;
}

export function recipeOf(run: LinuxRun): Recipe {
  const { guest, append } = run;
  const recorded = run.record !== false;
  return {
    guest: guest.name,
    commandLine: append === undefined ? guest.commandLine : `${guest.commandLine} ${append}`,
    protocol: 'auto',
    ...(run.pv !== undefined && { regime: 'hw' }),
    machine: {
      memoryBytes: (run.memoryMib ?? 256) * MIB,
      seed: '0123456789abcdef',
      wallClockNs: '1700000000000000000',
      acpi: run.acpi ?? false,
      virtio: run.virtio ?? [],
      accessCostNs: DEFAULT_ACCESS_COST_NS,
      counts: true,
      ...(run.pv !== undefined && { pv: run.pv }),
    },
    epochInstructions: run.epochInstructions ?? (recorded ? DEFAULT_EPOCH_INSTRUCTIONS : 0),
    digestInstructions: run.digestInstructions ?? (recorded ? DEFAULT_DIGEST_INSTRUCTIONS : 0),
  };
}

/** Runs to the end of the guest, or of the script's `until`. */
export function recordLinux(module: WebAssembly.Module, run: LinuxRun): LinuxRecording {
  const script = new InputScript(parseScript(run.script));
  const sink = new MemorySink();
  const images: RunImages = { kernel: run.guest.kernel, initrd: run.initrd ?? run.guest.initrd, disk: run.disk };
  let text = '';
  let line = '';
  let virtioText = '';
  const recorder = new Recorder({
    recipe: recipeOf(run),
    images,
    module,
    outputs: {
      console: (byte) => {
        script.output(byte);
        text += String.fromCharCode(byte);
        if (byte !== 10) line += String.fromCharCode(byte);
        else {
          run.onLine?.(line.trim(), recorder.position);
          line = '';
        }
      },
      virtioConsole: (bytes) => {
        virtioText += Buffer.from(bytes).toString('latin1');
      },
    },
    ...(run.record === false ? {} : { log: { sink, id: '00000000-0000-4000-8000-000000000000', product: 'test' } }),
  });
  const most = run.instructionsMax ?? 5_000_000_000;
  let status: RecorderStatus;
  do {
    status = recorder.step(SLICE_INSTRUCTIONS, true);
    run.onLog?.(sink);
    const { send, end } = script.poll();
    if (send.length > 0) recorder.input(send);
    if (status.kind === 'ended') break;
    if (end !== undefined) status = recorder.stop('user', end);
    else if (status.kind === 'idle' && recorder.pendingBytes === 0) status = recorder.stop('limit', 'the guest waits for ever');
    else if (recorder.position > most) status = recorder.stop('limit', `after ${most} instructions`);
  } while (status.kind !== 'ended');
  const { position, records, machine } = recorder;
  return { log: sink.toBytes(), images, machine, status, position, records, console: text, virtioConsole: virtioText };
}

export interface LinuxReplay {
  readonly status: Exclude<ReplayStatus, { kind: 'running' }>;
  readonly machine: Machine;
  readonly records: number;
  readonly console: string;
}

export function replayLinux(module: WebAssembly.Module, log: Uint8Array, images: RunImages): LinuxReplay {
  let text = '';
  const replayer = new Replayer({
    reader: LogReader.open(new MemorySource(log)),
    images,
    module,
    outputs: {
      console: (byte) => {
        text += String.fromCharCode(byte);
      },
    },
  });
  const status = replayer.run();
  return { status, machine: replayer.machine, records: replayer.records, console: text };
}

/** Types `commands` one after the other, each when the shell asks for it, and then ends the run by `last`. */
export function shellScript(commands: readonly string[], last = 'poweroff -f'): string {
  return [...commands, last].map((command) => `expect "# "\nsend ${JSON.stringify(`${command}\n`)}\n`).join('');
}
