// Parameter trees without a checkpoint: the model's own code says which tensors there are, and all of them are trained.
import { ShapeError } from '../errors.js';
import { createGraph, type Graph, input, type Shape, state, type Value } from '../graph/graph.js';
import { type FlatLayout, flatLayout } from '../params/flatLayout.js';
import type { ParamNode } from '../params/paramTree.js';

/** A tensor of a model by its name `<component>/<key>`, the shape being the graph's. */
type Take = (name: string, shape: Shape) => Value;

/** A tree whose every tensor comes from `take`. Projections in and out of transformers are linear layers. */
function takingNode(graph: Graph, component: string, take: Take, path = ''): ParamNode {
  const below = (name: string | number): string => (path === '' ? `${name}` : `${path}.${name}`);
  return {
    graph,
    path,
    hooks: {},
    child: (name) => takingNode(graph, component, take, below(name)),
    fileShape: () => null,
    weight: (name, shape) => take(`${component}/${below(name)}`, shape),
    alike: () => false,
    joinedWeight: (modules, name) => {
      throw new ShapeError(`${below(name)} of ${modules.join(', ')}: expected frozen tensors, got trained ones`);
    },
    markUsed: () => {},
  };
}

/** The trees of the components of a model, by component. */
export type Trees = (component: string) => ParamNode;

/** Lays out every tensor that a trace asks for, in its order; names are `<component>/<key>`, shapes the graph's. */
export function layoutOf(trace: (graph: Graph, trees: Trees) => void): FlatLayout {
  const graph = createGraph();
  const shapes = new Map<string, Shape>();
  const take: Take = (name, shape) => {
    shapes.set(name, shape);
    return input(graph, `weight ${name}`, shape);
  };
  trace(graph, (component) => takingNode(graph, component, take));
  return flatLayout([...shapes].map(([name, shape]) => ({ name, shape })));
}

/** Trees whose tensors are slices of a state buffer: `params` to train, `ema` to use what was trained. */
export function stateTrees(graph: Graph, layout: FlatLayout, buffer: 'params' | 'ema'): Trees {
  const take: Take = (name, shape) => state(graph, buffer, layout.entries.get(name)!.offset, shape, name);
  return (component) => takingNode(graph, component, take);
}

/** Elements of all tensors of a layout, or of those of one component. */
export function countParameters(layout: FlatLayout, component = ''): number {
  const prefix = component === '' ? '' : `${component}/`;
  return [...layout.entries].reduce((sum, [name, { count }]) => sum + (name.startsWith(prefix) ? count : 0), 0);
}
