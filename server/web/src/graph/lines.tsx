/** The lines between nodes: dashed where a condition chooses, lit with a count where they were taken. */

import { ViewportPortal } from "@xyflow/react";
import { memo } from "react";

import { type Layout, type Route, labelWidth } from "./layout";
import { useLive } from "./live";
import { countOf } from "./node-activity";
import { pathOf } from "./path";

export const Lines = memo(function Lines({ layout: { routes, box } }: { layout: Layout }) {
  const { taken } = useLive();
  // What was taken lies above what was not.
  const counted = routes.map((route) => ({ route, count: countOf(route, taken) }));
  counted.sort((a, b) => Math.sign(a.count) - Math.sign(b.count));
  return (
    <ViewportPortal>
      <svg
        className="graph-lines"
        style={{ left: box.x, top: box.y }}
        width={box.width}
        height={box.height}
        viewBox={`${box.x} ${box.y} ${box.width} ${box.height}`}
        aria-hidden="true"
      >
        <defs>
          <Arrow id="graph-arrow" />
          <Arrow id="graph-arrow-taken" />
        </defs>
        {counted.map(({ route, count }) => <Path key={route.id} route={route} taken={count > 0} />)}
        {counted.map(({ route, count }) => <Label key={route.id} route={route} count={count} />)}
      </svg>
    </ViewportPortal>
  );
});

function Arrow({ id }: { id: string }) {
  return (
    <marker id={id} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
      <path d="M0,0.5L7.5,4L0,7.5z" />
    </marker>
  );
}

function Path({ route, taken }: { route: Route; taken: boolean }) {
  const classes = ["graph-line", ...(route.conditional ? ["conditional"] : []), ...(taken ? ["taken"] : [])];
  return (
    <path
      className={classes.join(" ")}
      data-edge={route.id}
      d={pathOf(route.points)}
      markerEnd={`url(#graph-arrow${taken ? "-taken" : ""})`}
    />
  );
}

function Label({ route: { label, labelAt, id }, count }: { route: Route; count: number }) {
  const text = [...(label ? [label] : []), ...(count > 0 ? [`${count}×`] : [])].join(" · ");
  if (!text) return null;
  const width = labelWidth(text);
  return (
    <g className={`graph-label${count > 0 ? " taken" : ""}`} data-edge={id}>
      <rect x={labelAt.x - width / 2} y={labelAt.y - 9} width={width} height={18} rx={9} />
      <text x={labelAt.x} y={labelAt.y} textAnchor="middle" dominantBaseline="central">{text}</text>
    </g>
  );
}
