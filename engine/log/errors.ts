/**
 * The one table of what can be wrong with a log. A test compares it with FORMAT.md, section 9.
 */

interface ErrorRow {
  /** Exit status of a program that stops because of it. */
  readonly status: number;
  readonly message: string;
  /** What to do next. */
  readonly advice: string;
}

export const LOG_ERRORS = {
  LOG_NOT_A_LOG: { status: 40, message: 'this is not a Chronovisor log', advice: 'check the file name' },
  LOG_NEWER_VERSION: { status: 41, message: 'the log was written in a newer format', advice: 'use a newer Chronovisor' },
  LOG_HEADER_DAMAGED: { status: 42, message: 'the file header is damaged or incomplete', advice: 'the log cannot be repaired; use a copy' },
  LOG_BLOCK_DAMAGED: { status: 43, message: 'a block is damaged', advice: 'use a copy, or `check --repair` to keep what comes before' },
  LOG_FOOTER_DAMAGED: { status: 44, message: 'the footer is damaged or incomplete', advice: '`check --repair` writes it anew; no event is lost' },
  LOG_TORN: { status: 45, message: 'the file ends inside a block', advice: '`check --repair` keeps what comes before' },
  LOG_UNKNOWN_BLOCK: { status: 46, message: 'a block is of an unknown type', advice: 'use a newer Chronovisor' },
  LOG_UNKNOWN_RECORD: { status: 47, message: 'a record is of an unknown kind', advice: 'use a newer Chronovisor' },
  LOG_IMAGE_INCOMPLETE: { status: 48, message: 'an embedded image is incomplete', advice: 'give the image as a file' },
  LOG_WRITE_FAILED: { status: 49, message: 'the log could not be written', advice: 'free some space or choose another place; `check --repair` keeps what was written' },
} as const satisfies Record<string, ErrorRow>;

export type LogErrorCode = keyof typeof LOG_ERRORS;

/** Something is wrong with a log, at bytes offset to offset + length of it. */
export class LogError extends Error {
  readonly code: LogErrorCode;
  /** Exit status for a program that stops because of it. */
  readonly status: number;
  /** First byte of the part of the file that is concerned. */
  readonly offset: number;
  /** Bytes concerned; 0 if that is not known. */
  readonly length: number;
  readonly detail: string;
  /** The message without the advice, for where the two stand apart. */
  readonly what: string;
  readonly advice: string;

  constructor(code: LogErrorCode, offset: number, length: number, detail: string, options?: ErrorOptions) {
    const row = LOG_ERRORS[code];
    const what = `${row.message} (byte ${offset}: ${detail})`;
    super(`${what}; ${row.advice}`, options);
    this.name = 'LogError';
    this.code = code;
    this.status = row.status;
    this.offset = offset;
    this.length = length;
    this.detail = detail;
    this.what = what;
    this.advice = row.advice;
  }
}
