/** The one table of what the server refuses: code, status, message, and what to do next. */
import type { Problem } from '../../engine/protocol/lab.ts';
import { BUG_CODE, REQUEST_CODES } from '../runs/problem.ts';

export const HTTP_ERRORS = {
  HTTP_BAD_HOST: { status: 421, message: 'the request names another host', advice: 'open the address that the server printed' },
  HTTP_CROSS_ORIGIN: { status: 403, message: 'the request comes from another site', advice: 'open the address that the server printed' },
  HTTP_NO_TOKEN: { status: 401, message: 'the request has no token, or a wrong one', advice: 'open the address that the server printed, or send Authorization: Bearer TOKEN' },
  HTTP_TOO_MANY: { status: 429, message: 'too many requests', advice: 'wait a second' },
  HTTP_NOT_FOUND: { status: 404, message: 'there is nothing at this address', advice: 'go to the start page; GET /api has the routes' },
  HTTP_NO_RECORDING: { status: 404, message: 'there is no such recording', advice: 'it may have been moved or deleted: reload the start page' },
  HTTP_NO_RUN: { status: 404, message: 'there is no such run', advice: 'GET /api/v1/runs has those of this server; the recordings of earlier ones are among the recordings' },
  HTTP_NO_JOB: { status: 404, message: 'there is no such job', advice: 'GET /api/v1/jobs has those that are remembered' },
  HTTP_NO_IMAGE: { status: 404, message: 'this server does not have the image', advice: 'start it where the guest was fetched, or give the image as a file' },
  HTTP_BAD_REQUEST: { status: 400, message: 'the request is not as it should be', advice: 'GET /api has the routes and what they take' },
  HTTP_TOO_LARGE: { status: 413, message: 'the body of the request is too large', advice: 'send less; start the server with --upload-limit for larger recordings' },
  HTTP_SLOW: { status: 408, message: 'the request took too long to arrive', advice: 'try again on a better connection' },
  HTTP_NOT_A_LOG: { status: 422, message: 'what was sent is no recording that can be used', advice: 'send a .cvlog file; `chronovisor check --repair` makes a sound one of a damaged one' },
  HTTP_NAME_TAKEN: { status: 409, message: 'there is a recording of this name, and nothing is ever written over', advice: 'choose another name' },
  HTTP_NOT_CONFIRMED: { status: 428, message: 'a recording is deleted only if its id is given again', advice: 'send the header X-Confirm, or the parameter confirm, with the id' },
  HTTP_READ_ONLY: { status: 403, message: 'this recording is not in the folder that the server writes to', advice: 'delete the file yourself' },
  HTTP_NOTES_FULL: { status: 409, message: 'the recording has as many notes as it may have', advice: 'delete some' },
  HTTP_IN_USE: { status: 409, message: 'the recording is being written, or branches need it', advice: 'stop the run, or delete its branches first' },
  HTTP_BAD_RANGE: { status: 416, message: 'the range is not in the file', advice: 'ask for bytes that the file has' },
  HTTP_UI_NOT_BUILT: { status: 503, message: 'the pages are not built', advice: 'run `npm run build`' },
  HTTP_INTERNAL: { status: 500, message: 'the server made an error', advice: 'look at its output' },
} as const satisfies Record<string, { readonly status: number; readonly message: string; readonly advice: string }>;

export type HttpErrorCode = keyof typeof HTTP_ERRORS;

export class HttpError extends Error {
  readonly code: HttpErrorCode;
  readonly statusCode: number;
  readonly advice: string;

  constructor(code: HttpErrorCode, options?: ErrorOptions & { readonly detail?: string }) {
    super(options?.detail === undefined ? HTTP_ERRORS[code].message : `${HTTP_ERRORS[code].message}: ${options.detail}`, options);
    this.name = 'HttpError';
    this.code = code;
    this.statusCode = HTTP_ERRORS[code].status;
    this.advice = HTTP_ERRORS[code].advice;
  }
}

const PROBLEM_STATUS: Readonly<Record<string, number>> = {
  [BUG_CODE]: 500, 'thread-failed': 500, 'thread-memory': 500, 'thread-timeout': 504, 'thread-ended': 503, closing: 503, busy: 503, 'too-many-runs': 429, 'too-much-memory': 429, 'output-exists': 409,
  'run-over': 409, 'run-moving': 409, 'run-not-moving': 409, 'recording-gone': 410, 'file-missing': 410,
}; // prettier-ignore

/** Of an answer that is a problem: 400 if the request is wrong, else 422: what it is about cannot be used. */
export function statusOfProblem({ code }: Problem): number {
  return PROBLEM_STATUS[code] ?? (REQUEST_CODES.has(code) ? 400 : 422);
}
