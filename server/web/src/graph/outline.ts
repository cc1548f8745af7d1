/** What is seen of a graph: its nodes, the boxes of its subgraphs, and the lines between them. */

/** A graph as `GET /assistants/{id}/graph` gives it. Nodes of subgraphs are named `box:node`. */
export interface Drawing {
  nodes: { id: string; type?: string; data?: { name?: string } }[];
  edges: { source: string; target: string; data?: string; conditional?: boolean }[];
}

export type Kind = "start" | "end" | "node" | "box";

export interface Shape {
  path: string;
  name: string;
  kind: Kind;
  /** The box around it. */
  parent: string | null;
  folded: boolean;
}

export interface Line {
  id: string;
  source: string;
  target: string;
  label: string | null;
  conditional: boolean;
  /** The edges of the graph that are drawn as this line, as `source>target`. */
  edges: string[];
}

export interface Outline {
  shapes: Shape[];
  lines: Line[];
}

export const edgeId = (source: string, target: string) => `${source}>${target}`;

const boxesOf = (path: string): string[] => {
  const parts = path.split(":");
  return parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1).join(":"));
};

const nameOf = (path: string) => path.slice(path.lastIndexOf(":") + 1);

/** Draw up what is seen while some boxes are folded. */
export function outline(drawing: Drawing, folded: ReadonlySet<string> = new Set()): Outline {
  const seenAs = (path: string) => boxesOf(path).find((box) => folded.has(box)) ?? path;
  const shapes = new Map<string, Shape>();
  for (const { id } of drawing.nodes) {
    const seen = seenAs(id);
    for (const box of boxesOf(seen)) shapes.set(box, shapeOf(box, "box", false));
    const kind = seen !== id ? "box" : kindOf(id);
    shapes.set(seen, shapeOf(seen, kind, seen !== id));
  }
  return { shapes: [...shapes.values()], lines: linesOf(drawing, seenAs) };
}

function shapeOf(path: string, kind: Kind, folded: boolean): Shape {
  return { path, name: nameOf(path), kind, parent: boxesOf(path).at(-1) ?? null, folded };
}

function kindOf(id: string): Kind {
  const name = nameOf(id);
  return name === "__start__" ? "start" : name === "__end__" ? "end" : "node";
}

function linesOf(drawing: Drawing, seenAs: (path: string) => string): Line[] {
  const lines = new Map<string, Line>();
  for (const edge of drawing.edges) {
    const source = seenAs(edge.source);
    const target = seenAs(edge.target);
    // What goes on inside a folded box is not seen.
    if (source === target && edge.source !== edge.target) continue;
    const id = edgeId(source, target);
    const line = lines.get(id) ?? { id, source, target, label: null, conditional: true, edges: [] };
    line.edges.push(edgeId(edge.source, edge.target));
    line.conditional &&= edge.conditional === true;
    if (edge.data) line.label = line.label ? `${line.label}, ${edge.data}` : edge.data;
    lines.set(id, line);
  }
  return [...lines.values()];
}
