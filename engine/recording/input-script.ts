/**
 * Scripts that type at a guest, in the manner of expect(1). One step a line:
 *
 *     # a comment
 *     expect "text"      waits until the console has shown the text
 *     send "text\n"      types it (\n \r \t \\ \" \xHH and \e are understood)
 *     mark "name"        sets a mark in the recording where the next text is typed, so that a phase begins there
 *     until "text"       ends the run when the console has shown the text
 *
 * Text is matched in what the console has shown since the last match. When a step runs is a function of the console's output,
 * so the same guest with the same script gives the same log.
 */
export type ScriptStep =
  | { readonly kind: 'expect'; readonly text: string }
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | { readonly kind: 'mark'; readonly name: string }
  | { readonly kind: 'until'; readonly text: string };

export class ScriptError extends Error {
  override readonly name = 'ScriptError';
  readonly line: number;

  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
    this.line = line;
  }
}

/** Of the name of a mark: as many as the guests' own have. */
const MARK_BYTES_MAX = 255;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', '"': '"', e: '\x1b', 0: '\0' };

/** The bytes of a quoted text: UTF-8, and \xHH as it is. */
function unquote(text: string, line: number): Uint8Array {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) throw new ScriptError(line, `expected text in double quotes, found ${text === '' ? 'nothing' : text}`);
  const out: number[] = [];
  let plain = '';
  const flush = (): void => {
    out.push(...new TextEncoder().encode(plain));
    plain = '';
  };
  for (let i = 1; i < text.length - 1; i++) {
    const c = text[i];
    if (c === '"') throw new ScriptError(line, 'a double quote inside the text is written \\"');
    if (c !== '\\') {
      plain += c;
      continue;
    }
    const next = text[++i];
    if (next === 'x') {
      const hex = text.slice(i + 1, i + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(hex)) throw new ScriptError(line, '\\x is followed by two hexadecimal digits');
      flush();
      out.push(Number.parseInt(hex, 16));
      i += 2;
    } else if (i < text.length - 1 && next in ESCAPES) plain += ESCAPES[next];
    else throw new ScriptError(line, `unknown escape \\${next}`);
  }
  flush();
  return Uint8Array.from(out);
}

/** Texts to wait for, and names, are UTF-8. */
function textOf(bytes: Uint8Array, line: number): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ScriptError(line, 'the text is not UTF-8');
  }
}

/** Throws ScriptError with the line. */
export function parseScript(source: string): readonly ScriptStep[] {
  const steps: ScriptStep[] = [];
  source.split('\n').forEach((raw, index) => {
    const text = raw.trim();
    if (text === '' || text.startsWith('#')) return;
    const line = index + 1;
    const [word] = text.split(/\s/, 1);
    const rest = unquote(text.slice(word.length).trim(), line);
    if (rest.length === 0) throw new ScriptError(line, 'the text is empty');
    if (word === 'expect' || word === 'until') steps.push({ kind: word, text: textOf(rest, line) });
    else if (word === 'send') steps.push({ kind: 'send', bytes: rest });
    else if (word === 'mark') {
      const name = textOf(rest, line);
      if (rest.length > MARK_BYTES_MAX) throw new ScriptError(line, `the name of a mark has at most ${MARK_BYTES_MAX} bytes`);
      steps.push({ kind: 'mark', name });
    } else throw new ScriptError(line, `unknown step "${word}": expect, send, mark or until`);
  });
  return steps;
}

/** Follows the console and says what to type. Texts are matched as UTF-8 bytes, at the byte that completes them. */
export class InputScript {
  private readonly steps: readonly ScriptStep[];
  private at = 0;
  /** The text that is waited for, a character a byte; '' when the script is through. */
  private text = '';
  /** The last bytes of the console since the last match, no more than the text is long. */
  private seen = '';
  private sends: number[] = [];
  private marks: string[] = [];
  private end: string | undefined;

  constructor(steps: readonly ScriptStep[]) {
    this.steps = steps;
    this.proceed();
  }

  /** The step that is waited for; undefined when the script is through. */
  get waitingFor(): Extract<ScriptStep, { readonly kind: 'expect' | 'until' }> | undefined {
    const step = this.steps.at(this.at);
    return step?.kind === 'expect' || step?.kind === 'until' ? step : undefined;
  }

  /** A byte the guest wrote. */
  output(byte: number): void {
    const { text } = this;
    if (text === '') return;
    this.seen = (this.seen + String.fromCharCode(byte)).slice(-text.length);
    if (this.seen !== text) return;
    this.seen = '';
    const step = this.steps[this.at++];
    if (step.kind === 'until') {
      this.end = step.text;
      this.text = '';
    } else this.proceed();
  }

  /** Marks to set now, what is to be typed after them, and whether the run is to end. Call at boundaries. */
  poll(): { readonly marks: readonly string[]; readonly send: Uint8Array; readonly end: string | undefined } {
    const { sends, marks, end } = this;
    if (sends.length > 0) this.sends = [];
    if (marks.length > 0) this.marks = [];
    return { marks, send: Uint8Array.from(sends), end };
  }

  /** Takes the sends and marks up to the next text to wait for. */
  private proceed(): void {
    for (; this.at < this.steps.length; this.at++) {
      const step = this.steps[this.at];
      if (step.kind === 'send') this.sends.push(...step.bytes);
      else if (step.kind === 'mark') this.marks.push(step.name);
      else {
        this.text = String.fromCharCode(...new TextEncoder().encode(step.text));
        return;
      }
    }
    this.text = '';
  }
}
