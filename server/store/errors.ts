/**
 * Expected failures of files and of finding images. `{name}` is replaced from the details; the message says what, where and
 * what to do. A test compares the codes with the exit codes of the command line.
 */

export const STORE_ERRORS = {
  'output-exists': '{file} exists already, and nothing is ever written over: choose another name with {option}, or move it away',
  'file-missing': 'there is no file {file}: check the name given for {what}',
  'folder-missing': 'the folder of {file} does not exist: make it first, or choose another place for {what}',
  'file-denied': 'no permission to {action} {file}: choose another place or change its permissions',
  'file-not-regular': '{file} is {kind}, not a file: check the name given for {what}',
  'file-too-large': '{file} has {size} bytes, more than the {limit} that {what} may have: check the name',
  'file-failed': 'cannot {action} {file}: {detail}. Check the disk and the name given for {what}',
  'guest-unknown': 'there is no guest "{name}"{suggestion}: the guests are {known}. Any other kernel is given with --kernel FILE; `chronovisor guest fetch linux` gets Debian\'s',
  'guest-image-damaged': '{file} is not the image that {manifest} names ({detail}): get it again from the repository, or build it with engine/guests/build.sh',
  'images-missing': 'these images of the recording are not here:\n{list}\nGive them by {options} or by --images FOLDER{hint}',
  'image-mismatch': '{file} is not the {image} of the recording: its SHA-256 is {actual}, the recording has {expected}. Give the file that was recorded',
  'images-not-chosen': 'the recording does not hold these images, without which its file cannot replay:\n{list}\nPut them in with --with-images (check that you may pass them on), or leave them out with --without-images: events and console can be read without them',
  'too-large-for-page': 'with {bytes} bytes the recording is too large for one file: a browser opens {most}. Leave the images out with --without-images, or pass on the log itself',
  'page-missing': 'the built page {file} is missing: run `npm run build`',
  'core-missing': 'the compiled interpreter {file} is missing: run `npm run build`',
  'core-damaged': 'the compiled interpreter {file} is no WebAssembly module ({detail}): run `npm run build`',
  'profile-damaged': '{file} is no profile of guest code ({detail}): name another file with {option}, or remove it, and a new one is made',
  'jit-unknown': 'CHRONOVISOR_JIT is "{detail}": set it to off or on, or unset it',
} as const;

export type StoreErrorCode = keyof typeof STORE_ERRORS;

export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, details: Readonly<Record<string, string>>, options?: ErrorOptions) {
    super(
      STORE_ERRORS[code].replace(/\{(\w+)\}/g, (_placeholder, name: string) => {
        const value = details[name];
        if (value === undefined) throw new Error(`store error ${code}: no value for {${name}}`);
        return value;
      }),
      options,
    );
    this.name = 'StoreError';
    this.code = code;
  }
}

/** The code of a system error (ENOENT, ...); undefined for other errors. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** A system error with the file, and what to do. `what` names the option or argument that gave the file. */
export function fileError(error: unknown, action: 'read' | 'write', file: string, what: string): StoreError {
  const options = { cause: error };
  switch (systemCode(error)) {
    case 'ENOENT':
      return new StoreError(action === 'read' ? 'file-missing' : 'folder-missing', { file, what }, options);
    case 'EEXIST':
      return new StoreError('output-exists', { file, option: what }, options);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new StoreError('file-denied', { file, action }, options);
    case 'EISDIR':
      return new StoreError('file-not-regular', { file, kind: 'a folder', what }, options);
    default:
      return new StoreError('file-failed', { file, action, what, detail: error instanceof Error ? error.message : String(error) }, options);
  }
}
