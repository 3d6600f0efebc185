/** The one table of what the server refuses: code, status, message, and what to do next. */

export const HTTP_ERRORS = {
  HTTP_BAD_HOST: { status: 421, message: 'the request names another host', advice: 'open the address that the server printed' },
  HTTP_CROSS_ORIGIN: { status: 403, message: 'the request comes from another site', advice: 'open the address that the server printed' },
  HTTP_NOT_FOUND: { status: 404, message: 'there is nothing at this address', advice: 'go to the start page' },
  HTTP_NO_RECORDING: { status: 404, message: 'there is no such recording', advice: 'it may have been moved or deleted: reload the start page' },
  HTTP_NO_IMAGE: { status: 404, message: 'this server does not have the image', advice: 'start it where the guest was fetched, or give the image as a file' },
  HTTP_BAD_RANGE: { status: 416, message: 'the range is not in the file', advice: 'ask for bytes that the file has' },
  HTTP_UI_NOT_BUILT: { status: 503, message: 'the pages are not built', advice: 'run `npm run build`' },
  HTTP_INTERNAL: { status: 500, message: 'the server made an error', advice: 'look at its output' },
} as const satisfies Record<string, { readonly status: number; readonly message: string; readonly advice: string }>;

export type HttpErrorCode = keyof typeof HTTP_ERRORS;

export class HttpError extends Error {
  readonly code: HttpErrorCode;
  readonly statusCode: number;
  readonly advice: string;

  constructor(code: HttpErrorCode, options?: ErrorOptions) {
    super(HTTP_ERRORS[code].message, options);
    this.name = 'HttpError';
    this.code = code;
    this.statusCode = HTTP_ERRORS[code].status;
    this.advice = HTTP_ERRORS[code].advice;
  }
}
