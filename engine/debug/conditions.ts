/** What the conditions of stop points mean. */
import * as L from '../cpu/layout.ts';
import type { LogReader } from '../log/reader.ts';
import type { Machine } from '../machine/machine.ts';
import { type Expression, expressionOf } from './expression.ts';
import { ExpressionView } from './expression-view.ts';
import { readRegister } from './inspect.ts';
import { codeBits } from './listing.ts';
import { cr3Of } from './shadow-stack.ts';
import type { Condition, FrameCondition } from './stop-points.ts';

const USER = 3;
/** In 32-bit code a function may take its arguments off the stack. */
const ARGUMENT_BYTES_MAX = 256n;

/** An expression that reads what is not mapped does not hold. */
export function conditionOf({ plain }: Expression): Condition {
  return { kind: 'expression', expression: plain };
}

/** Looks at the machine, and changes nothing. `log`: whose events an expression may count. */
export function holderOf(condition: Condition, log: LogReader): (machine: Machine) => boolean {
  if (condition.kind === 'frame') return (machine) => isInFrame(machine, condition);
  const expression = expressionOf(condition.expression, log);
  let view: ExpressionView | undefined;
  return (machine) => {
    if (view?.machine === machine) view.forget();
    else view = new ExpressionView(machine);
    return expression.isTrue(view);
  };
}

export function isInFrame(machine: Machine, { rsp, isUser, cr3 }: Omit<FrameCondition, 'kind'>): boolean {
  const above = (readRegister(machine, 'rsp') ?? 0n) - rsp;
  if (above !== 0n && (codeBits(machine) === 64 || above < 0n || above > ARGUMENT_BYTES_MAX)) return false;
  return (machine.core.u32[L.CPL >>> 2] === USER) === isUser && (cr3 === undefined || cr3Of(machine) === cr3);
}
