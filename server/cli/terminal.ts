/**
 * The person's terminal as the guest's: raw mode, so that every key goes to the guest. Ctrl-A is the escape, as in QEMU:
 * X quits, A sends Ctrl-A, S shows how far the run is, H helps.
 */

const ESCAPE = 0x01;

export const TERMINAL_HELP = ['Ctrl-A H  this help', 'Ctrl-A X  end the run', 'Ctrl-A S  show how far it is', 'Ctrl-A A  send Ctrl-A'];

export interface TerminalCommands {
  readonly quit: () => void;
  readonly status: () => void;
  readonly help: () => void;
  readonly input: (bytes: Uint8Array) => void;
}

/** Takes typed bytes apart into what is for the guest and what is for us. */
export class EscapeFilter {
  private readonly commands: TerminalCommands;
  private isEscaped = false;

  constructor(commands: TerminalCommands) {
    this.commands = commands;
  }

  push(bytes: Uint8Array): void {
    const plain: number[] = [];
    for (const byte of bytes) {
      if (!this.isEscaped) {
        if (byte === ESCAPE) this.isEscaped = true;
        else plain.push(byte);
        continue;
      }
      this.isEscaped = false;
      switch (String.fromCharCode(byte).toLowerCase()) {
        case 'a':
        case '\x01':
          plain.push(ESCAPE);
          break;
        case 'x':
          if (plain.length > 0) this.commands.input(Uint8Array.from(plain));
          this.commands.quit();
          return;
        case 's':
          this.commands.status();
          break;
        case 'h':
        case '?':
          this.commands.help();
          break;
        default:
          // As QEMU does: what is no command is for the guest, without the escape.
          plain.push(byte);
      }
    }
    if (plain.length > 0) this.commands.input(Uint8Array.from(plain));
  }
}

export class Terminal {
  private readonly stdin: NodeJS.ReadStream;
  private readonly onData: (bytes: Buffer) => void;

  constructor(stdin: NodeJS.ReadStream, commands: TerminalCommands) {
    this.stdin = stdin;
    const filter = new EscapeFilter(commands);
    this.onData = (bytes) => filter.push(bytes);
    stdin.setRawMode(true);
    stdin.resume();
    stdin.on('data', this.onData);
    stdin.on('end', commands.quit);
  }

  close(): void {
    this.stdin.off('data', this.onData);
    this.stdin.setRawMode(false);
    this.stdin.pause();
  }
}
