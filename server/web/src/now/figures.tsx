/** The big figures on top. */

import { useSay } from "../language";
import type { Key } from "../strings";
import { useFormat } from "./format";
import type { Figures as Values } from "./shape";

export function Figures({ figures }: { figures: Values }) {
  const say = useSay();
  const { count, rate, seconds, cost, share } = useFormat();
  const shown: [Key, string, string?][] = [
    ["nowTurnsPerSecond", rate(figures.turns_per_second), say("nowTurnsInWindow", { turns: count(figures.turns) })],
    ["nowFailed", share(figures.turns ? figures.failed / figures.turns : 0), say("nowFailedTurns", { turns: count(figures.failed) })],
    ["nowFirstWord", seconds(figures.first_token_p50), say("nowP95", { value: seconds(figures.first_token_p95) })],
    ["nowWhole", seconds(figures.seconds_p50), say("nowP95", { value: seconds(figures.seconds_p95) })],
    ["nowTokensToday", count(figures.tokens_today), say("nowInWindow", { value: count(figures.tokens) })],
    ["nowCostToday", cost(figures.cost_today), say("nowInWindow", { value: cost(figures.cost) })],
    ["nowRunning", count(figures.running)],
    ["nowWaiting", count(figures.waiting), say("nowBackground", { runs: count(figures.background_waiting) })],
  ];
  return (
    <dl className="now-figures">
      {shown.map(([name, value, more]) => (
        <div key={name}>
          <dt>{say(name)}</dt>
          <dd>{value}</dd>
          {more && <dd className="faint">{more}</dd>}
        </div>
      ))}
    </dl>
  );
}
