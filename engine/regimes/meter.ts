/** What a projection charges: recipes made of cost parameters, counted as they are used. A recipe is a number, so that charging allocates nothing. */
import type { CostBook, Cycles } from './regime.ts';

interface Part {
  readonly parameter: string;
  readonly times: number;
}

export class Meter {
  /** Of each recipe. */
  readonly cycles: Cycles[] = [];
  /** Uses of each recipe so far. */
  readonly uses: number[] = [];
  private readonly parts: (readonly Part[])[] = [];
  private readonly costs: CostBook;

  constructor(costs: CostBook) {
    this.costs = costs;
  }

  /** A new recipe: the sum of parameters, each once or as often as its number says. */
  recipe(...parts: readonly (string | readonly [parameter: string, times: number])[]): number {
    const list = parts.map((part): Part => (typeof part === 'string' ? { parameter: part, times: 1 } : { parameter: part[0], times: part[1] }));
    let [low, typical, high] = [0, 0, 0];
    for (const { parameter, times } of list) {
      const cost = this.costs.cost(parameter);
      low += cost.low * times;
      typical += cost.typical * times;
      high += cost.high * times;
    }
    this.cycles.push({ low, typical, high });
    this.uses.push(0);
    return this.parts.push(list) - 1;
  }

  /** True if none of these has a fraction: sums of them are exact, in any order. */
  isWhole(recipes: readonly number[]): boolean {
    return recipes.every((recipe) => Object.values(this.cycles[recipe]).every((cycles) => Number.isInteger(cycles)));
  }

  parameterUses(): Map<string, number> {
    const found = new Map<string, number>();
    this.parts.forEach((list, i) => {
      for (const { parameter, times } of list) found.set(parameter, (found.get(parameter) ?? 0) + times * this.uses[i]);
    });
    return found;
  }
}
