/** The ways of lines that lead back: out at a side, up a lane of their own, and in again. */

import type { Line } from "./outline";

export interface Point {
  x: number;
  y: number;
}

export interface Box extends Point {
  width: number;
  height: number;
}

const LANE = 22; // between two lanes
const GAP = 14; // above and below a node, where nothing else lies

interface Way {
  line: Line;
  side: "left" | "right";
  source: Box;
  target: Box;
  /** Whether the line can leave, and come in, at the side of its node. */
  leaves: boolean;
  enters: boolean;
}

/**
 * Lanes nearest to the graph are for the lines that lead back the least.
 *
 * @param drawn points beside which the lanes lie.
 */
export function sideRoutes(
  lines: readonly Line[],
  boxes: ReadonlyMap<string, Box>,
  inTheWay: readonly Box[],
  drawn: readonly Point[],
  labelWidth: (text: string) => number,
) {
  const ways = lines.flatMap((line) => wayOf(line, boxes, inTheWay));
  const loops = ways.filter(({ line }) => line.source === line.target);
  const lanes = ways.filter(({ line }) => line.source !== line.target);
  lanes.sort((a, b) => span(a) - span(b));
  const xs = drawn.map(({ x }) => x);
  const edge = { left: Math.min(...xs) - LANE, right: Math.max(...xs) + LANE };
  return [
    ...loops.map(({ line, source }) => loopRoute(line, source, quieter(source, lanes))),
    ...lanes.map((way) => {
      const half = way.line.label ? labelWidth(`${way.line.label} · 9×`) / 2 : 0;
      const sign = way.side === "left" ? -1 : 1;
      // The label lies on its lane, and needs room on both sides of it.
      const x = edge[way.side] + sign * Math.max(0, half - LANE);
      edge[way.side] = x + sign * (half + LANE / 2);
      return laneRoute(way, x);
    }),
  ];
}

/** The side of a node at which fewer lines come and go. */
function quieter(box: Box, lanes: readonly Way[]): "left" | "right" {
  const used = lanes.filter(({ source, target }) => source === box || target === box);
  return used.filter(({ side }) => side === "left").length * 2 > used.length ? "right" : "left";
}

const span = ({ source, target }: Way) => Math.abs(source.y - target.y);
const middle = ({ y, height }: Box) => y + height / 2;

function wayOf(line: Line, boxes: ReadonlyMap<string, Box>, inTheWay: readonly Box[]): Way[] {
  const source = boxes.get(line.source);
  const target = boxes.get(line.target);
  if (!source || !target) return [];
  const choices = (["right", "left"] as const).map((side) => ({
    ...{ line, side, source, target },
    leaves: isFree(source, side, inTheWay),
    enters: isFree(target, side, inTheWay),
  }));
  const free = ({ leaves, enters }: Way) => Number(leaves) + Number(enters);
  choices.sort((a, b) => free(b) - free(a));
  return choices.slice(0, 1);
}

function isFree(box: Box, side: "left" | "right", inTheWay: readonly Box[]): boolean {
  const y = middle(box);
  return !inTheWay.some(
    (other) =>
      other.y < y && y < other.y + other.height && (side === "left" ? other.x < box.x : other.x > box.x),
  );
}

function laneRoute({ line, side, source, target, leaves, enters }: Way, x: number) {
  const out = end(source, side, leaves, source.y + source.height, GAP);
  const into = end(target, side, enters, target.y, -GAP).reverse();
  const from = out.at(-1)?.y ?? 0;
  const to = into[0]?.y ?? 0;
  const points: Point[] = [...out, { x, y: from }, { x, y: to }, ...into];
  return { ...line, points, labelAt: { x, y: (from + to) / 2 } };
}

/** From a node to the height at which the line runs to its lane. */
function end(box: Box, side: "left" | "right", free: boolean, y: number, gap: number): Point[] {
  const sign = side === "left" ? -1 : 1;
  const center = box.x + box.width / 2;
  if (free) return [{ x: center + (sign * box.width) / 2, y: middle(box) }];
  const x = center + (sign * box.width) / 4;
  return [{ x, y }, { x, y: y + gap }];
}

function loopRoute(line: Line, box: Box, side: "left" | "right") {
  const x = side === "left" ? box.x : box.x + box.width;
  const out = x + (side === "left" ? -1 : 1) * (LANE - 8);
  const [upper, lower] = [box.y + box.height * 0.3, box.y + box.height * 0.7];
  const points = [{ x, y: lower }, { x: out, y: lower }, { x: out, y: upper }, { x, y: upper }];
  return { ...line, points, labelAt: { x: out, y: middle(box) } };
}
