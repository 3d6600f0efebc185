/** All expected failures of fetching and storing guests. `{name}` is replaced from the details; the message says what to do. */

export const GUEST_ERRORS = {
  'tool-missing':
    'this needs the program {program}, which is not here: run it on Debian 12 or a relative with apt and dpkg, or build a guest elsewhere and use --kernel and --initrd',
  'apt-update-failed': 'apt-get update failed: {detail}. Check the network and the sources of apt, then try again',
  'package-unknown':
    'apt knows no package {package}: add Debian 12 (bookworm) and its security archive to the sources of apt',
  'pinned-version-gone':
    '{package} {version} is no longer in the archive{newest}. Use --latest to take the newest version (checked by apt only), or get the pinned .deb files from Debian\'s snapshot archive and give their folder with --debs',
  'download-failed': 'apt-get download {package} failed: {detail}. Check the network, or give a folder of .deb files with --debs',
  'deb-missing': 'there is no .deb file of {package} {version} in {folder}: get it from Debian\'s snapshot archive',
  'deb-damaged': '{file} cannot be unpacked: {detail}. Delete it and fetch it again',
  'checksum-wrong': 'the SHA-256 of {what} is {actual}, expected {expected} by {authority}: do not use it; try again, and report it if it stays',
  'package-file-missing': '{package} {version} has no file {path}: this version is packed in another way, use the pinned one',
  'module-order': 'the module {module} of {package} {version} needs {needs}, which is not loaded before it: use the pinned version',
  'store-damaged': '{file} exists and its content is not what its name says: move it away and fetch again',
  'guest-unknown': 'there is no guest "{name}" in {folder}: fetch one with `chronovisor guest fetch linux`',
  'guest-damaged': 'the guest description {file} is damaged: {detail}. Move its folder away and fetch again',
} as const;

export type GuestErrorCode = keyof typeof GUEST_ERRORS;

export class GuestError extends Error {
  readonly code: GuestErrorCode;

  constructor(code: GuestErrorCode, details: Readonly<Record<string, string>>) {
    super(
      GUEST_ERRORS[code].replace(/\{(\w+)\}/g, (_placeholder, name: string) => {
        const value = details[name];
        if (value === undefined) throw new Error(`guest error ${code}: no value for {${name}}`);
        return value;
      }),
    );
    this.name = 'GuestError';
    this.code = code;
  }
}
