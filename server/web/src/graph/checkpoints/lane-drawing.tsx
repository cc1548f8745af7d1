/** The lines and the dot of one row of the tree. */

import type { Row } from "./lanes";

export const ROW = 34;
const LANE = 14;
/** More lanes than these are drawn one upon the other. */
const MOST = 10;

export const lanesWidth = (lanes: number) => Math.min(lanes, MOST) * LANE + 6;

const xOf = (lane: number) => 10 + Math.min(lane, MOST - 1) * LANE;
const colour = (lane: number) => `lane-${lane % 6}`;

export function LaneDrawing({ row: { lane, passing, joining, below, checkpoint }, lanes }: { row: Row; lanes: number }) {
  const [x, y] = [xOf(lane), ROW / 2];
  return (
    <svg className="tree-lanes" width={lanesWidth(lanes)} height={ROW} aria-hidden="true">
      {passing.map((each) => <path key={each} className={colour(each)} d={`M${xOf(each)},0V${ROW}`} />)}
      {joining.map((each) => (
        <path key={each} className={colour(each)} d={each === lane ? `M${x},0V${y}` : `M${xOf(each)},0C${xOf(each)},${y} ${x + LANE},${y} ${x},${y}`} />
      ))}
      {below === "parent" && <path className={colour(lane)} d={`M${x},${y}V${ROW}`} />}
      {below === "unknown" && <path className={`${colour(lane)} unknown`} d={`M${x},${y}V${ROW}`} />}
      <circle className={`${colour(lane)} ${checkpoint.source}`} cx={x} cy={y} r={4.5} />
    </svg>
  );
}
