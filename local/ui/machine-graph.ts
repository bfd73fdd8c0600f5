import { Graph, layout } from '@dagrejs/dagre';
import type { AslDefinition, AslState } from '../control-plane/scoped-definition.ts';

/** One state on the drawing, in pixels; `x` and `y` are its centre. */
export interface DrawnState {
  readonly name: string;
  readonly type: AslState['Type'];
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Around the states of a Parallel or a Map. */
export type DrawnFrame = Omit<DrawnState, 'type'>;

export interface DrawnEdge {
  /** `caught`: taken when the state fails. */
  readonly kind: 'next' | 'caught';
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface MachineDrawing {
  readonly width: number;
  readonly height: number;
  readonly states: readonly DrawnState[];
  readonly frames: readonly DrawnFrame[];
  readonly edges: readonly DrawnEdge[];
}

/** Of a letter at 12 pixels, about; labels are our own state names, all Latin. */
const LETTER_PIXELS = 6.6;
const STATE_HEIGHT = 34;

/** Dagre takes no edge to a frame: they lead to the state's own box in it, and leave from a point at its end. */
const endOf = (name: string) => `${name}\u0000end`;
const frameOf = (name: string) => `${name}\u0000frame`;

/** Lays a state machine out from top to bottom. Deterministic. */
export function drawMachine(definition: AslDefinition): MachineDrawing {
  const graph = new Graph({ compound: true, multigraph: true });
  graph.setGraph({
    rankdir: 'TB',
    nodesep: 22,
    ranksep: 34,
    edgesep: 12,
    marginx: 12,
    marginy: 12,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  const types = new Map<string, AslState['Type']>();
  addStates(graph, definition, undefined, types);
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  const box = (id: string) => graph.node(id) as Omit<DrawnState, 'name' | 'type'>;
  return {
    width: Math.ceil(width),
    height: Math.ceil(height),
    states: [...types].map(([name, type]) => ({ name, type, ...rounded(box(name)) })),
    frames: [...types.keys()]
      .filter((name) => graph.hasNode(frameOf(name)))
      .map((name) => ({ name, ...rounded(box(frameOf(name))) })),
    edges: graph.edges().flatMap((edge: { v: string; w: string; name?: string }) => {
      const { points = [] } = graph.edge(edge) as { points?: DrawnEdge['points'] };
      const kind = edge.name?.startsWith('caught') ? 'caught' : 'next';
      return points.length > 1 ? [{ kind, points: points.map(roundedPoint) } as const] : [];
    }),
  };
}

function addStates(
  graph: Graph,
  { States }: AslDefinition,
  parent: string | undefined,
  types: Map<string, AslState['Type']>,
): void {
  const put = (id: string, size: object) => {
    graph.setNode(id, size);
    if (parent !== undefined) graph.setParent(id, parent);
  };
  for (const [name, state] of Object.entries(States)) {
    types.set(name, state.Type);
    const size = { width: Math.max(70, name.length * LETTER_PIXELS + 26), height: STATE_HEIGHT };
    const inner = innerOf(state);
    if (inner.length === 0) {
      put(name, size);
      continue;
    }
    put(frameOf(name), {});
    graph.setNode(name, size);
    graph.setParent(name, frameOf(name));
    graph.setNode(endOf(name), { width: 6, height: 6 });
    graph.setParent(endOf(name), frameOf(name));
    for (const branch of inner) {
      addStates(graph, branch, frameOf(name), types);
      connect(graph, name, branch.StartAt, 'next');
      for (const [last, it] of Object.entries(branch.States)) {
        const isLast = it.End === true || it.Type === 'Succeed';
        if (isLast) connect(graph, exitOf(last, it), endOf(name), 'next');
      }
    }
  }
  for (const [name, state] of Object.entries(States)) {
    for (const next of nextOf(state)) connect(graph, exitOf(name, state), next, 'next');
    for (const next of catchersOf(state)) connect(graph, exitOf(name, state), next, 'caught');
  }
}

/** Branches of a Parallel, the processor of a Map. */
function innerOf({ Branches = [], ItemProcessor, Iterator: iterator }: AslState): AslDefinition[] {
  const processor = ItemProcessor ?? iterator;
  return [...Branches, ...(processor ? [processor] : [])];
}

function exitOf(name: string, state: AslState): string {
  return innerOf(state).length > 0 ? endOf(name) : name;
}

function nextOf(state: AslState): string[] {
  const choices = (state as { Choices?: readonly { Next?: string }[] }).Choices ?? [];
  const fallback = (state as { Default?: string }).Default;
  const all = [state.Next, ...choices.map(({ Next }) => Next), fallback];
  return [...new Set(all.filter((it) => it !== undefined))];
}

function catchersOf(state: AslState): string[] {
  const catchers = (state.Catch ?? []) as readonly { Next?: string }[];
  return [...new Set(catchers.flatMap(({ Next }) => Next ?? []))];
}

function connect(graph: Graph, from: string, to: string, kind: DrawnEdge['kind']): void {
  graph.setEdge(
    { v: from, w: to, name: `${kind} ${from} ${to}` },
    { weight: kind === 'next' ? 3 : 1 },
  );
}

function rounded({ x, y, width, height }: Omit<DrawnState, 'name' | 'type'>) {
  return { ...roundedPoint({ x, y }), width: Math.round(width), height: Math.round(height) };
}

function roundedPoint({ x, y }: { x: number; y: number }) {
  return { x: Math.round(x * 10) / 10, y: Math.round(y * 10) / 10 };
}
