/** Where the parts of a graph lie. Dagre places what leads on; what leads back runs at the side. */

import { graphlib, layout as place } from "@dagrejs/dagre";

import { backward } from "./backward";
import type { Line, Outline, Shape } from "./outline";
import { type Box, type Point, sideRoutes } from "./side";

export interface Placed extends Shape, Box {}

export interface Route extends Line {
  points: Point[];
  back: boolean;
  /** The middle of its label. */
  labelAt: Point;
}

export interface Layout {
  shapes: Placed[];
  routes: Route[];
  /** All of it, labels too. */
  box: Box;
}

const HEIGHT = 44;
const MARGIN = 12;

/** How wide a label is drawn, about. */
export const labelWidth = (text: string) => Math.round(12 + 6.5 * [...text].length);

function sizeOf({ kind, name }: Shape): { width: number; height: number } {
  if (kind === "start" || kind === "end") return { width: 64, height: 28 };
  return { width: Math.max(124, Math.min(220, 44 + 8 * [...name].length)), height: HEIGHT };
}

/** @param backLabel says of a line that leads back where it leads. */
export function layout(outline: Outline, backLabel: (line: Line) => string = () => ""): Layout {
  const back = backward(outline.lines, "__start__");
  const labelled = outline.lines.map((line) =>
    back.has(line.id) && line.source !== line.target ? { ...line, label: line.label ?? backLabel(line) } : line,
  );
  const on = labelled.filter(({ id }) => !back.has(id));
  const graph = placed(outline.shapes, on);
  const shapes = outline.shapes.map((shape) => ({ ...shape, ...corner(graph.node(shape.path)) }));
  const forward = on.map((line) => forwardRoute(line, graph.edge(line.source, line.target)));
  const boxes = new Map(shapes.map((shape) => [shape.path, shape]));
  const inTheWay = shapes.filter(({ kind, folded }) => kind !== "box" || folded);
  const edges = shapes.flatMap(({ x, y, width }) => [{ x, y }, { x: x + width, y }]);
  const drawn = [...edges, ...forward.flatMap(({ points }) => points)];
  const sides = sideRoutes(labelled.filter(({ id }) => back.has(id)), boxes, inTheWay, drawn, labelWidth);
  const routes = [...forward, ...sides.map((route) => ({ ...route, back: true }))];
  return { shapes, routes, box: around(shapes, routes) };
}

type Graph = graphlib.Graph;

function placed(shapes: readonly Shape[], lines: readonly Line[]): Graph {
  const graph: Graph = new graphlib.Graph({ compound: true });
  graph.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 40, edgesep: 16 });
  for (const shape of shapes) graph.setNode(shape.path, sizeOf(shape));
  for (const { path, parent } of shapes) if (parent) graph.setParent(path, parent);
  for (const { source, target, label } of lines) {
    graph.setEdge(source, target, label ? { width: labelWidth(label), height: 20, labelpos: "c" } : {});
  }
  place(graph);
  return graph;
}

/** Dagre gives middles; what is drawn begins at the left upper corner. */
const corner = ({ x, y, width, height }: Box): Box => ({ x: x - width / 2, y: y - height / 2, width, height });

function forwardRoute(line: Line, { points, x, y }: { points: Point[]; x?: number; y?: number }): Route {
  const middle = points[Math.floor(points.length / 2)] ?? { x: 0, y: 0 };
  const labelAt = x === undefined || y === undefined ? middle : { x, y };
  return { ...line, points: points.map((point) => ({ ...point })), back: false, labelAt };
}

function around(shapes: readonly Placed[], routes: readonly Route[]): Box {
  const xs = shapes.flatMap(({ x, width }) => [x, x + width]);
  const ys = shapes.flatMap(({ y, height }) => [y, y + height]);
  for (const { points, label, labelAt } of routes) {
    for (const point of points) (xs.push(point.x), ys.push(point.y));
    const half = label ? labelWidth(label) / 2 : 0;
    xs.push(labelAt.x - half, labelAt.x + half);
  }
  if (!xs.length) return { x: 0, y: 0, width: 1, height: 1 };
  const [x, y] = [Math.min(...xs) - MARGIN, Math.min(...ys) - MARGIN];
  return { x, y, width: Math.max(...xs) + MARGIN - x, height: Math.max(...ys) + MARGIN - y };
}
