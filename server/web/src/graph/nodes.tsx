/** How the parts of a graph are drawn: its ends, its nodes, and the boxes of its subgraphs. */

import type { Node, NodeProps } from "@xyflow/react";

import { useSay } from "../language";
import type { Placed } from "./layout";
import { useLive } from "./live";
import { NodeText } from "./node-text";

export type GraphNode = Node<{ shape: Placed }, "end" | "node" | "box">;

const ROUTER = "fallback_router";

export const nodeTypes = { end: End, node: Step, box: Box };

function End({ data }: NodeProps<GraphNode>) {
  const say = useSay();
  return <div className="graph-end">{say(data.shape.kind === "start" ? "graphStart" : "graphEnd")}</div>;
}

/** The classes that say how a node stands. */
function useStanding({ path, name }: Placed): string {
  const { nodes, glowing, selected, stoppedBefore } = useLive();
  const classes = [
    nodes.get(path)?.condition ?? "fresh",
    ...(glowing.has(path) ? ["glowing"] : []),
    ...(selected === path ? ["selected"] : []),
    ...(stoppedBefore.includes(path) ? ["waiting"] : []),
    ...(name === ROUTER ? ["router"] : []),
  ];
  return classes.join(" ");
}

function Step({ data: { shape } }: NodeProps<GraphNode>) {
  const { nodes, select, selected } = useLive();
  const standing = useStanding(shape);
  const activity = nodes.get(shape.path);
  return (
    <button
      className={`graph-node nopan ${standing}`}
      aria-expanded={selected === shape.path}
      title={shape.path}
      data-path={shape.path}
      onClick={() => select(shape.path)}
    >
      <Marks path={shape.path} />
      <span className="graph-node-name">{shape.name}</span>
      <NodeText activity={activity} />
    </button>
  );
}

function Box({ data: { shape } }: NodeProps<GraphNode>) {
  const say = useSay();
  const { nodes, select, selected, fold } = useLive();
  const standing = useStanding(shape);
  const activity = nodes.get(shape.path);
  return (
    <div className={`graph-box ${shape.folded ? "folded" : "open"} ${standing}`} data-path={shape.path}>
      <Marks path={shape.path} />
      <div className="graph-box-head nopan">
        <button
          className="graph-fold"
          aria-expanded={!shape.folded}
          aria-label={say(shape.folded ? "graphUnfold" : "graphFold", { name: shape.name })}
          onClick={() => fold(shape.path)}
        >
          {shape.folded ? "▸" : "▾"}
        </button>
        <button
          className="graph-box-name"
          aria-expanded={selected === shape.path}
          onClick={() => select(shape.path)}
        >
          <span className="graph-node-name">{shape.name}</span>
          <NodeText activity={activity} />
        </button>
      </div>
    </div>
  );
}

/** Breakpoints: at the upper edge those before a node, at the lower edge those after it. */
function Marks({ path }: { path: string }) {
  const say = useSay();
  const { points } = useLive();
  return (
    <>
      {points.before.includes(path) && <span className="graph-mark before" role="img" aria-label={say("graphStopsBefore")} />}
      {points.after.includes(path) && <span className="graph-mark after" role="img" aria-label={say("graphStopsAfter")} />}
    </>
  );
}
