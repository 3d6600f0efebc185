/** Weighted stacks as boxes of a flame graph: the root is the widest, children stand on their parent, largest first. No DOM. */

export interface Stack {
  /** From the root. */
  readonly frames: readonly string[];
  readonly weight: number;
}
export interface FlameNode {
  readonly name: string;
  /** Its own and that of all above it. */
  weight: number;
  readonly depth: number;
  readonly parent: FlameNode | undefined;
  readonly children: FlameNode[];
}
export interface FlameBox {
  readonly node: FlameNode;
  /** 0 to 1 of the width. */
  readonly from: number;
  readonly width: number;
}

export function flameOf(stacks: readonly Stack[], rootName = 'all'): FlameNode {
  const root: FlameNode = { name: rootName, weight: 0, depth: 0, parent: undefined, children: [] };
  for (const { frames, weight } of stacks) {
    if (!(weight > 0)) continue;
    let node = root;
    node.weight += weight;
    for (const name of frames) {
      let child = node.children.find((each) => each.name === name);
      if (child === undefined) node.children.push((child = { name, weight: 0, depth: node.depth + 1, parent: node, children: [] }));
      child.weight += weight;
      node = child;
    }
  }
  return root;
}

/** Of what is above a node, that node at full width; below `least` of the width nothing is drawn. */
export function boxesOf(root: FlameNode, least: number): FlameBox[] {
  const boxes: FlameBox[] = [];
  for (let node = root.parent; node !== undefined; node = node.parent) boxes.unshift({ node, from: 0, width: 1 });
  const lay = (node: FlameNode, from: number, width: number): void => {
    boxes.push({ node, from, width });
    let at = from;
    for (const child of [...node.children].sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))) {
      const own = (child.weight / node.weight) * width;
      if (own >= least) lay(child, at, own);
      at += own;
    }
  };
  if (root.weight > 0) lay(root, 0, 1);
  return boxes;
}
