/**
 * The PC's pair of 8259A interrupt controllers: the master's INT output is the CPU's INTR pin, the slave's is the
 * master's input 2. Source: Intel 8259A datasheet (231468).
 *
 * An edge-triggered request is remembered only as long as its input stays high: "if the IR input goes low before the
 * first INTA, a DEFAULT IR7 will occur when the CPU acknowledges" (datasheet, Edge and Level Triggered Modes). Other
 * emulators latch it; the difference is seen by a guest only as fewer or more spurious interrupts.
 *
 * At power-on every input is masked (the datasheet leaves it undefined), so that nothing reaches a guest that has not
 * initialised the pair.
 */
import { allOnes, widenByte } from '../byte-port.ts';
import type { InterruptLine, PortDevice, SavedState } from '../device.ts';
import { restoreState, saveState } from '../saved-state.ts';
import * as r from './registers.ts';

export interface PicOptions {
  /** The INTR pin. Called on changes only, never from restore(). */
  readonly output: (asserted: boolean) => void;
  /** An acknowledge cycle gave `vector` for `irq` (7 or 15 with no request behind it: spurious). */
  readonly onAcknowledge?: (irq: number, vector: number) => void;
  /** The in-service bit of `irq` was cleared by a command or by automatic EOI. */
  readonly onEoi?: (irq: number) => void;
  /** `irq` (never 2) became requested, masked or not. */
  readonly onRaise?: (irq: number) => void;
}

/** One 8259A. All of it is saved. */
type Chip = {
  /** Levels of the eight inputs. */
  lines: number;
  /** Edges seen and not yet acknowledged; a bit is only ever set while its input is high. */
  edges: number;
  isr: number;
  imr: number;
  /** Level-triggered inputs by ELCR. */
  elcr: number;
  /** ICW1 said: all inputs are level-triggered. */
  levelTriggered: boolean;
  vectorBase: number;
  single: boolean;
  needsIcw4: boolean;
  expect: number;
  readIsr: boolean;
  poll: boolean;
  specialMask: boolean;
  specialFullyNested: boolean;
  autoEoi: boolean;
  rotateOnAutoEoi: boolean;
  /** The input of highest priority; 0 unless rotated. */
  highest: number;
  /** The INT output. */
  output: boolean;
};

type PicState = { chips: [Chip, Chip] };

function chipAtPowerOn(): Chip {
  return {
    lines: 0,
    edges: 0,
    isr: 0,
    imr: 0xff,
    elcr: 0,
    levelTriggered: false,
    vectorBase: 0,
    single: false,
    needsIcw4: false,
    expect: r.EXPECT_OCW1,
    readIsr: false,
    poll: false,
    specialMask: false,
    specialFullyNested: false,
    autoEoi: false,
    rotateOnAutoEoi: false,
    highest: 0,
    output: false,
  };
}

function stateAtPowerOn(): PicState {
  return { chips: [chipAtPowerOn(), chipAtPowerOn()] };
}

const MASTER = 0;
const SLAVE = 1;
const NO_REQUEST = -1;

export class Pic implements PortDevice {
  readonly name = 'pic';
  readonly ports = [
    { first: r.PORT_MASTER_COMMAND, count: 2 },
    { first: r.PORT_SLAVE_COMMAND, count: 2 },
    { first: r.PORT_ELCR_MASTER, count: 2 },
  ];
  private readonly options: PicOptions;
  private state = stateAtPowerOn();

  constructor(options: PicOptions) {
    this.options = options;
  }

  /** Input 0 to 15. Input 2 is the cascade: driving it is an error. */
  line(irq: number): InterruptLine {
    if (!Number.isInteger(irq) || irq < 0 || irq > 15 || irq === r.CASCADE_IRQ) throw new RangeError(`no PIC input ${irq}`);
    return { set: (asserted) => this.setLine(irq >> 3, irq & 7, asserted) };
  }

  /** Level of the INTR pin. */
  get intr(): boolean {
    return this.state.chips[MASTER].output;
  }

  /**
   * The CPU's acknowledge cycle: gives the vector (0 to 255) and moves the request to in-service. The vector of
   * input 7 (of the slave: 15) when the request has gone.
   */
  acknowledge(): number {
    const master = this.state.chips[MASTER];
    const irq = highestRequest(master, true);
    if (irq === NO_REQUEST) return this.acknowledged(r.SPURIOUS_IRQ, master.vectorBase | r.SPURIOUS_IRQ);
    if (irq !== r.CASCADE_IRQ || master.single) {
      const vector = this.acknowledged(irq, master.vectorBase | irq);
      this.takeInService(MASTER, irq);
      return vector;
    }
    const slave = this.state.chips[SLAVE];
    const slaveRequest = highestRequest(slave, false);
    // IRQ 15 without a request needs an input that drops inside the cycle, which is one step here; the rule stands for completeness.
    const slaveIrq = slaveRequest === NO_REQUEST ? r.SPURIOUS_IRQ : slaveRequest;
    const vector = this.acknowledged(8 + slaveIrq, slave.vectorBase | slaveIrq);
    // The master first: a request that stays in the slave makes a new edge, which must come after the acknowledged one.
    this.takeInService(MASTER, irq);
    if (slaveRequest !== NO_REQUEST) this.takeInService(SLAVE, slaveRequest);
    return vector;
  }

  reset(): void {
    const wasAsserted = this.intr;
    this.state = stateAtPowerOn();
    if (wasAsserted) this.options.output(false);
  }

  save(): SavedState {
    return saveState(this.state);
  }

  restore(state: SavedState): void {
    this.state = restoreState(stateAtPowerOn(), state, this.name);
  }

  readPort(port: number, size: number): number {
    switch (port) {
      case r.PORT_MASTER_COMMAND:
        return widenByte(this.readCommand(MASTER), size);
      case r.PORT_SLAVE_COMMAND:
        return widenByte(this.readCommand(SLAVE), size);
      case r.PORT_MASTER_DATA:
        return widenByte(this.readData(MASTER), size);
      case r.PORT_SLAVE_DATA:
        return widenByte(this.readData(SLAVE), size);
      case r.PORT_ELCR_MASTER:
        return widenByte(this.state.chips[MASTER].elcr, size);
      case r.PORT_ELCR_SLAVE:
        return widenByte(this.state.chips[SLAVE].elcr, size);
      default:
        return allOnes(size);
    }
  }

  writePort(port: number, _size: number, value: number): void {
    const byte = value & 0xff;
    switch (port) {
      case r.PORT_MASTER_COMMAND:
        return this.writeCommand(MASTER, byte);
      case r.PORT_SLAVE_COMMAND:
        return this.writeCommand(SLAVE, byte);
      case r.PORT_MASTER_DATA:
        return this.writeData(MASTER, byte);
      case r.PORT_SLAVE_DATA:
        return this.writeData(SLAVE, byte);
      case r.PORT_ELCR_MASTER:
        return this.writeElcr(MASTER, byte & r.ELCR_MASK_MASTER);
      case r.PORT_ELCR_SLAVE:
        return this.writeElcr(SLAVE, byte & r.ELCR_MASK_SLAVE);
    }
  }

  private acknowledged(irq: number, vector: number): number {
    this.options.onAcknowledge?.(irq, vector);
    return vector;
  }

  private setLine(index: number, input: number, asserted: boolean): void {
    const chip = this.state.chips[index];
    const bit = 1 << input;
    if (((chip.lines & bit) !== 0) === asserted) return;
    const wasRequested = (requests(chip) & bit) !== 0;
    if (asserted) {
      chip.lines |= bit;
      chip.edges |= bit;
    } else {
      chip.lines &= ~bit;
      chip.edges &= ~bit;
    }
    const isCascade = index === MASTER && input === r.CASCADE_IRQ;
    if (asserted && !wasRequested && !isCascade) this.options.onRaise?.(index * 8 + input);
    this.update(index);
  }

  private takeInService(index: number, input: number): void {
    const chip = this.state.chips[index];
    chip.edges &= ~(1 << input);
    if (chip.autoEoi) {
      if (chip.rotateOnAutoEoi) chip.highest = (input + 1) & 7;
      this.options.onEoi?.(index * 8 + input);
    } else {
      chip.isr |= 1 << input;
    }
    // INT goes low during the acknowledge cycle, so that a request which is left makes a new edge on the cascade input.
    this.setOutput(index, false);
    this.update(index);
  }

  private update(index: number): void {
    this.setOutput(index, highestRequest(this.state.chips[index], index === MASTER) !== NO_REQUEST);
  }

  private setOutput(index: number, asserted: boolean): void {
    const chip = this.state.chips[index];
    if (chip.output === asserted) return;
    chip.output = asserted;
    if (index === MASTER) this.options.output(asserted);
    else this.setLine(MASTER, r.CASCADE_IRQ, asserted);
  }

  private readCommand(index: number): number {
    const chip = this.state.chips[index];
    if (chip.poll) return this.readPoll(index);
    return chip.readIsr ? chip.isr : requests(chip);
  }

  private readData(index: number): number {
    const chip = this.state.chips[index];
    return chip.poll ? this.readPoll(index) : chip.imr;
  }

  /** The read after a poll command is an acknowledge cycle (datasheet, Poll Command). */
  private readPoll(index: number): number {
    const chip = this.state.chips[index];
    chip.poll = false;
    const irq = highestRequest(chip, index === MASTER);
    if (irq === NO_REQUEST) return 0;
    this.takeInService(index, irq);
    return r.POLL_INTERRUPT | irq;
  }

  private writeCommand(index: number, byte: number): void {
    if ((byte & r.ICW1) !== 0) this.beginInitialisation(index, byte);
    else if ((byte & r.OCW3) !== 0) this.writeOcw3(index, byte);
    else this.writeOcw2(index, byte);
    this.update(index);
  }

  private beginInitialisation(index: number, byte: number): void {
    const chip = this.state.chips[index];
    // Datasheet, ICW1: edge sense, IMR and special mask are cleared, IR7 gets the lowest priority, status read is IRR;
    // without ICW4 all its functions are off. Lines that are high need a new edge.
    chip.edges = 0;
    chip.isr = 0;
    chip.imr = 0;
    chip.highest = 0;
    chip.readIsr = false;
    chip.poll = false;
    chip.specialMask = false;
    chip.specialFullyNested = false;
    chip.autoEoi = false;
    chip.rotateOnAutoEoi = false;
    chip.levelTriggered = (byte & r.ICW1_LEVEL) !== 0;
    chip.single = (byte & r.ICW1_SINGLE) !== 0;
    chip.needsIcw4 = (byte & r.ICW1_NEEDS_ICW4) !== 0;
    chip.expect = r.EXPECT_ICW2;
  }

  private writeOcw3(index: number, byte: number): void {
    const chip = this.state.chips[index];
    if ((byte & r.OCW3_POLL) !== 0) chip.poll = true;
    else if ((byte & r.OCW3_READ_ENABLE) !== 0) chip.readIsr = (byte & r.OCW3_READ_ISR) !== 0;
    if ((byte & r.OCW3_SPECIAL_MASK_ENABLE) !== 0) chip.specialMask = (byte & r.OCW3_SPECIAL_MASK) !== 0;
  }

  private writeOcw2(index: number, byte: number): void {
    const chip = this.state.chips[index];
    const input = byte & 7;
    switch (byte >> 5) {
      case r.OCW2_ROTATE_AUTO_EOI_CLEAR:
        chip.rotateOnAutoEoi = false;
        break;
      case r.OCW2_ROTATE_AUTO_EOI_SET:
        chip.rotateOnAutoEoi = true;
        break;
      case r.OCW2_EOI:
      case r.OCW2_ROTATE_EOI: {
        // "An IS bit that is masked by an IMR bit will not be cleared by a non-specific EOI in Special Mask Mode."
        const served = highestOf(chip, chip.specialMask ? chip.isr & ~chip.imr : chip.isr);
        if (served === NO_REQUEST) break;
        this.endOfInterrupt(index, served);
        if (byte >> 5 === r.OCW2_ROTATE_EOI) chip.highest = (served + 1) & 7;
        break;
      }
      case r.OCW2_SPECIFIC_EOI:
        this.endOfInterrupt(index, input);
        break;
      case r.OCW2_ROTATE_SPECIFIC_EOI:
        this.endOfInterrupt(index, input);
        chip.highest = (input + 1) & 7;
        break;
      case r.OCW2_SET_PRIORITY:
        chip.highest = (input + 1) & 7;
        break;
      default:
        break; // 2: no operation
    }
  }

  private endOfInterrupt(index: number, input: number): void {
    const chip = this.state.chips[index];
    if ((chip.isr & (1 << input)) === 0) return;
    chip.isr &= ~(1 << input);
    this.options.onEoi?.(index * 8 + input);
  }

  private writeData(index: number, byte: number): void {
    const chip = this.state.chips[index];
    switch (chip.expect) {
      case r.EXPECT_ICW2:
        chip.vectorBase = byte & r.ICW2_BASE;
        chip.expect = chip.single ? afterIcw3(chip) : r.EXPECT_ICW3;
        break;
      case r.EXPECT_ICW3:
        chip.expect = afterIcw3(chip); // the wiring of the pair is fixed
        break;
      case r.EXPECT_ICW4:
        chip.autoEoi = (byte & r.ICW4_AUTO_EOI) !== 0;
        chip.specialFullyNested = (byte & r.ICW4_SPECIAL_FULLY_NESTED) !== 0;
        chip.expect = r.EXPECT_OCW1;
        break;
      default:
        chip.imr = byte;
        break;
    }
    this.update(index);
  }

  private writeElcr(index: number, byte: number): void {
    this.state.chips[index].elcr = byte;
    this.update(index);
  }
}

function afterIcw3(chip: Chip): number {
  return chip.needsIcw4 ? r.EXPECT_ICW4 : r.EXPECT_OCW1;
}

/** The IRR: the inputs of level-triggered requests and the remembered edges of the others. */
function requests(chip: Chip): number {
  const level = chip.levelTriggered ? 0xff : chip.elcr;
  return (chip.lines & level) | (chip.edges & ~level);
}

/** The set bit of highest priority, or NO_REQUEST. */
function highestOf(chip: Chip, bits: number): number {
  if (bits === 0) return NO_REQUEST;
  let input = chip.highest;
  while ((bits & (1 << input)) === 0) input = (input + 1) & 7;
  return input;
}

/** The unmasked request that may interrupt what is in service, or NO_REQUEST. */
function highestRequest(chip: Chip, isMaster: boolean): number {
  const request = highestOf(chip, requests(chip) & ~chip.imr);
  if (request === NO_REQUEST) return NO_REQUEST;
  let blocking = chip.specialMask ? chip.isr & ~chip.imr : chip.isr;
  if (chip.specialFullyNested && isMaster) blocking &= ~(1 << r.CASCADE_IRQ);
  const served = highestOf(chip, blocking);
  if (served === NO_REQUEST) return request;
  return ((request - chip.highest) & 7) < ((served - chip.highest) & 7) ? request : NO_REQUEST;
}
