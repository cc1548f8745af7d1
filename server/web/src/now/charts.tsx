/** The lines of the last 15 minutes. */

import { useSay } from "../language";
import { Chart } from "./chart";
import { NONE, useFormat } from "./format";
import type { Lines } from "./shape";

export function Charts({ lines }: { lines: Lines }) {
  const say = useSay();
  const { count, rate, seconds, cost } = useFormat();
  const orNone = (format: (value: number) => string) => (value: number | null) =>
    value === null ? NONE : format(value);
  const [p50, p95] = [say("nowHalf"), say("nowSlowest")];
  return (
    <div className="now-charts">
      <Chart title={say("nowTurnsPerSecond")} lines={lines} format={orNone(rate)}
        shown={[{ column: "turns_per_second", name: say("nowTurns") }]} />
      <Chart title={say("nowFirstWord")} lines={lines} format={seconds}
        shown={[{ column: "first_token_p50", name: p50 }, { column: "first_token_p95", name: p95 }]} />
      <Chart title={say("nowWhole")} lines={lines} format={seconds}
        shown={[{ column: "seconds_p50", name: p50 }, { column: "seconds_p95", name: p95 }]} />
      <Chart title={say("nowRuns")} lines={lines} format={orNone(count)}
        shown={[{ column: "running", name: say("nowRunning") }, { column: "waiting", name: say("nowWaiting") }]} />
      <Chart title={say("nowTokens")} lines={lines} format={orNone(count)}
        shown={[{ column: "tokens", name: say("nowTokens") }]} />
      <Chart title={say("nowCost")} lines={lines} format={cost}
        shown={[{ column: "cost", name: say("nowCost") }]} />
    </div>
  );
}
