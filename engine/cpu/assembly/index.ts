/** Exports of the core. See ../README.md. */
export { run } from "./interp";
export { fault, resetDelivery } from "./exceptions";
export { tlbReset, tlbFlushAll, tlbSelect, tlbDropWrites, deviceWrite, inspectAddress, setWatch } from "./memory";
export { codeReset, codeFlush } from "./blocks";
export { updateMode } from "./segments";
export { getFlags, setFlags } from "./flags";
export { currentIcount, virtualTime } from "./system";
export { currentRip } from "./exceptions";
// For compiled code (engine/jit).
export { helper } from "./helpers";
export { shiftByCl } from "./alu";
export { runVector, multiplyOverflows, settleFlags, carryOf } from "./interp";
export { blockAt, runsAlone, codeKey, codeEnd } from "./blocks";
export { hashDirtyPages, hashBytes, newEpoch, pagesReset } from "./digest";
export { unpackPage } from "./pages";
