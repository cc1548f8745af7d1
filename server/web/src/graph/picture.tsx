/** A graph, drawn: it can be moved, made larger and smaller, and its boxes fold. */

import "@xyflow/react/dist/base.css";

import { ReactFlow, ReactFlowProvider, useReactFlow, useStore } from "@xyflow/react";
import { type KeyboardEvent, useEffect, useMemo } from "react";

import { useSay } from "../language";
import { theme } from "../shell/theme";
import { useValue } from "../store";
import { type Layout, layout } from "./layout";
import { Lines } from "./lines";
import { useLive } from "./live";
import { type GraphNode, nodeTypes } from "./nodes";
import { type Drawing, outline } from "./outline";

interface Props {
  drawing: Drawing;
  folded: ReadonlySet<string>;
}

export function Picture(props: Props) {
  return <ReactFlowProvider><Canvas {...props} /></ReactFlowProvider>;
}

const BY_ARROW: Record<string, [number, number]> = {
  ...{ ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] },
};

function Canvas({ drawing, folded }: Props) {
  const say = useSay();
  const colours = useValue(theme);
  const { selected, select } = useLive();
  const placed = useMemo(
    () => layout(outline(drawing, folded), ({ target }) => say("graphBackTo", { name: target.split(":").at(-1) ?? "" })),
    [drawing, folded, say("graphBackTo")],
  );
  const nodes = useMemo(() => placed.shapes.map(nodeOf), [placed]);
  const flow = useReactFlow();
  const move = (event: KeyboardEvent) => {
    const by = BY_ARROW[event.key];
    if (event.key === "Escape" && selected !== null) return select(selected);
    if (!by || (event.target as HTMLElement).closest("button")) return;
    event.preventDefault();
    const { x, y, zoom } = flow.getViewport();
    void flow.setViewport({ x: x + by[0], y: y + by[1], zoom });
  };
  return (
    <div className="graph-picture" role="group" aria-label={say("graphPicture")} tabIndex={0} onKeyDown={move}>
      <ReactFlow
        nodes={nodes}
        edges={[]}
        nodeTypes={nodeTypes}
        colorMode={colours}
        minZoom={0.15}
        maxZoom={2}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        elementsSelectable={false}
        disableKeyboardA11y
        zoomOnScroll={false}
        zoomOnDoubleClick={false}
        preventScrolling={false}
        attributionPosition="bottom-left"
      >
        <Lines layout={placed} />
        <Fitted layout={placed} />
        <Zoom layout={placed} />
      </ReactFlow>
    </div>
  );
}

function nodeOf(shape: Layout["shapes"][number]): GraphNode {
  const { path: id, kind, folded, x, y, width, height } = shape;
  const type = kind === "start" ? "end" : kind;
  // Boxes lie below the lines and the nodes in them, outer ones lowest.
  const zIndex = kind === "box" && !folded ? -10 + id.split(":").length : 1;
  return { id, type, position: { x, y }, width, height, zIndex, data: { shape } };
}

const LARGEST = 1.15;

/** The whole graph is seen at first, and again when its size or the room changes. */
function Fitted({ layout: { box } }: { layout: Layout }) {
  const flow = useReactFlow();
  const room = useStore(({ width, height }) => `${width} ${height}`);
  useEffect(() => fit(flow, box, room), [flow, box, room]);
  return null;
}

function fit(flow: ReturnType<typeof useReactFlow>, box: Layout["box"], room: string): void {
  const [width = 0, height = 0] = room.split(" ").map(Number);
  if (!width || !height) return;
  const zoom = Math.min(LARGEST, (width - 16) / box.width, (height - 16) / box.height);
  const [x, y] = [(width - box.width * zoom) / 2 - box.x * zoom, (height - box.height * zoom) / 2 - box.y * zoom];
  void flow.setViewport({ x, y, zoom });
}

function Zoom({ layout: { box } }: { layout: Layout }) {
  const say = useSay();
  const flow = useReactFlow();
  const room = useStore(({ width, height }) => `${width} ${height}`);
  return (
    <div className="graph-zoom">
      <button aria-label={say("graphLarger")} onClick={() => void flow.zoomIn()}>+</button>
      <button aria-label={say("graphSmaller")} onClick={() => void flow.zoomOut()}>−</button>
      <button onClick={() => fit(flow, box, room)}>{say("graphWhole")}</button>
    </div>
  );
}
