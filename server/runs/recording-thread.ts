/** The thread that has one recording: for its log, for its machine, for a job or for a debug session, by what it is asked. */
import { parentPort, workerData } from 'node:worker_threads';
import { keptProfile } from '../store/code-profile.ts';
import { rememberCode } from '../store/core-module.ts';
import { DebugOperations } from './debug-operations.ts';
import { lookClosely } from './look.ts';
import { LogOperations } from './log-operations.ts';
import { MachineOperations } from './machine-operations.ts';
import { Recording, type RecordingData } from './recording.ts';
import { notify, serve } from './thread.ts';

if (parentPort === null) throw new Error('this program is a worker thread');
const port = parentPort;
const data = workerData as RecordingData;
// It lives until it is ended, so it only reads what others learnt.
rememberCode(keptProfile());
const recording = new Recording(data);
serve(port, {
  look: () => lookClosely(data.path),
  ...new LogOperations(recording, data).operations,
  ...new MachineOperations(recording).operations,
  ...new DebugOperations(recording, (notice) => notify(port, notice)).operations,
});
