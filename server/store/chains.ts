/** A recording with its ancestors: a branch is a log of its own, and is replayed with the log that it goes on from (`engine/recording/chain.ts`). */
import { readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { LogError } from '../../engine/log/errors.ts';
import { type LogHeader, type LogParent, parseHeader } from '../../engine/log/header.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { ChainError, type RecordingChain, openChain } from '../../engine/recording/chain.ts';
import { StoreError } from './errors.ts';
import { FileSource } from './files.ts';
import { type OpenedLog, openLog } from '../../engine/log/open-log.ts';

export interface OpenedRecording extends OpenedLog {
  /** The whole run from power-on: what is replayed and asked. */
  readonly reader: LogReader;
  readonly chain: RecordingChain;
  /** Of each log of the chain, root first. */
  readonly paths: readonly string[];
}

/** Throws LogError, StoreError; ChainError with what to do. */
export function openRecording(source: FileSource, parents: readonly string[]): OpenedRecording {
  const opened = openLog(source);
  const paths = [source.path];
  const given = parents.map((path) => ({ path, isUsed: false }));
  if (given.length > 0 && opened.reader.header.parent === undefined) throw new ChainError('parent-wrong', { logId: '', position: opened.reader.lastPosition }, `--parent: ${source.path} is no branch: it has no parent`);
  const find = (parent: LogParent): LogReader | undefined => {
    for (const one of given) {
      if (one.isUsed) continue;
      const { reader } = openLog(new FileSource(one.path, '--parent'));
      if (reader.header.id !== parent.logId) continue;
      one.isUsed = true;
      paths.unshift(one.path);
      return reader;
    }
    const found = [...new Set(paths.map((path) => dirname(resolve(path))))].flatMap((folder) => logsIn(folder)).find(({ header }) => header.id === parent.logId);
    if (found === undefined) return undefined;
    paths.unshift(found.path);
    return openLog(new FileSource(found.path, 'the parent of the recording')).reader;
  };
  try {
    const chain = openChain(opened.reader, find);
    return { reader: chain.reader, torn: opened.torn, chain, paths };
  } catch (error) {
    if (!(error instanceof ChainError)) throw error;
    const advice = error.code === 'parent-circle' ? '' : given.some(({ isUsed }) => !isUsed) ? `; --parent ${given.find(({ isUsed }) => !isUsed)!.path} is another log` : `: put it into the folder of ${source.path}, or give it by --parent FILE`;
    throw new ChainError(error.code, error.parent, `${error.message}${advice}`);
  }
}

export interface KnownLog {
  readonly path: string;
  readonly header: LogHeader;
}

/** Files that are looked at in a folder. */
const FILES_MAX = 20_000;

/** The logs of a folder, by name; what is no log, or damaged, is passed over. */
export function logsIn(folder: string): readonly KnownLog[] {
  const logs: KnownLog[] = [];
  let names: string[];
  try {
    names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => name).sort().slice(0, FILES_MAX);
  } catch {
    // A folder that cannot be read has none for us; what is missing is then said by name.
    return logs;
  }
  for (const name of names) {
    const path = join(folder, name);
    let source: FileSource | undefined;
    try {
      source = new FileSource(path, 'FILE');
      logs.push({ path, header: parseHeader(source).header });
    } catch (error) {
      if (!(error instanceof LogError || error instanceof StoreError)) throw error;
    } finally {
      source?.close();
    }
  }
  return logs;
}

/** A log and those that go on from it. */
export interface Family {
  readonly file: string;
  readonly id: string;
  /** Where it goes on from its parent; undefined for a root. */
  readonly position: number | undefined;
  /** In order of position. */
  readonly children: readonly Family[];
}

/** The logs of a folder that belong together with one of them: from its furthest ancestor there, all that go on from it. */
export function familyOf(path: string, header: LogHeader): Family {
  const logs = logsIn(dirname(resolve(path)));
  const known = new Map<string, KnownLog>();
  for (const log of logs) if (!known.has(log.header.id)) known.set(log.header.id, log);
  known.set(header.id, { path, header });
  let top = header;
  const seen = new Set<string>();
  while (top.parent !== undefined && known.has(top.parent.logId) && !seen.has(top.id)) {
    seen.add(top.id);
    top = known.get(top.parent.logId)!.header;
  }
  const placed = new Set<string>();
  const byParent = new Map<string, KnownLog[]>();
  for (const log of known.values()) if (log.header.parent !== undefined) byParent.set(log.header.parent.logId, [...(byParent.get(log.header.parent.logId) ?? []), log]);
  const build = ({ path: file, header: { id, parent } }: KnownLog): Family => {
    placed.add(id);
    const children = (byParent.get(id) ?? []).filter((log) => !placed.has(log.header.id)).sort((a, b) => a.header.parent!.position - b.header.parent!.position);
    return { file: basename(file), id, position: parent?.position, children: children.map(build) };
  };
  return build(known.get(top.id)!);
}
