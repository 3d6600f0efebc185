/** `guest`: which guests there are, and getting Debian's. */
import { type FetchOptions, fetchLinux } from '../guests/fetch.ts';
import { guestsFolder } from '../guests/store.ts';
import { FETCHABLE, guestRows } from '../store/guest-list.ts';
import { nearest } from '../store/suggest.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { JSON_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { table } from './format.ts';
import { toJson } from './output.ts';
import { UsageError } from './usage-error.ts';

const SPEC: VerbSpec = {
  name: 'guest',
  synopsis: 'list | fetch linux | fetch linux-full',
  summary: "Lists the guests, or fetches Debian's kernel and busybox as packages.",
  operands: { min: 1, max: 2 },
  options: [
    { name: 'latest', help: 'fetch: the newest version rather than the pinned one' },
    { name: 'debs', value: 'FOLDER', help: 'fetch: .deb files from a folder instead of apt' },
    JSON_OPTION,
  ],
};

export const guest: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const [action, name] = parsed.operands;
  switch (action) {
    case 'list':
      return list(parsed, context);
    case 'fetch':
      return fetch(parsed, context, name);
    default: {
      const near = nearest(action, ['list', 'fetch']);
      throw new UsageError(`guest cannot "${action}"${near === undefined ? '' : `; did you mean ${near}?`}`, 'guest');
    }
  }
}

async function list(parsed: Arguments, { out }: Context): Promise<number> {
  const rows = (await guestRows()).map(({ packages, description, ...row }) => ({ ...row, description: packages === undefined ? description : `${description} (${packages.join(', ')})` }));
  if (parsed.has('json')) out.write(`${toJson({ verb: 'guest', folder: guestsFolder(), guests: rows }, 2)}\n`);
  else {
    const lines = table(rows.map(({ name, state, memoryBytes, description, problem }) => [name, state, memoryBytes === undefined ? '' : `${memoryBytes / 0x100000} MiB`, problem ?? description]), '');
    out.write(`${lines.join('\n')}\nfetched guests are kept in ${guestsFolder()}; \`chronovisor guest fetch NAME\` gets one\n`);
  }
  return exitCode('ok');
}

async function fetch(parsed: Arguments, { out, err }: Context, name: string | undefined): Promise<number> {
  const known = Object.keys(FETCHABLE);
  if (name === undefined) throw new UsageError(`guest fetch needs a name: ${known.join(' or ')}`, 'guest');
  const fetchable = FETCHABLE[name];
  if (fetchable === undefined) {
    const near = nearest(name, known);
    throw new UsageError(`"${name}" cannot be fetched; ${near === undefined ? `there are ${known.join(' and ')}` : `did you mean ${near}?`}`, 'guest');
  }
  const options: FetchOptions = { flavour: fetchable.flavour, latest: parsed.has('latest'), debs: parsed.text('debs'), log: (line) => err.write(`${line}\n`) };
  const report = await fetchLinux(options);
  if (parsed.has('json')) out.write(`${toJson({ verb: 'guest', ...report, exitCode: 0 })}\n`);
  else out.write(`${name} is ready: \`chronovisor record ${name} -o FILE\`\n`);
  return exitCode('ok');
}
