/** The quiet line under an answer, and the route that it opens. */

import { useSay } from "../language";
import type { Drawn } from "../thread/drawn";
import type { TurnView } from "../thread/entries";
import type { Route } from "../thread/state";
import type { Key } from "../strings";
import { costWords, failureWords, secondsWords } from "./words";

const MODES: Record<Route["mode"], Key> = {
  primary: "modePrimary",
  retry: "modeRetry",
  fallback: "modeFallback",
  offline: "modeOffline",
  stopped: "modeStopped",
  cache: "modeCache",
};

export function AnswerLine({ drawn, turn }: { drawn: Drawn; turn: TurnView }) {
  const say = useSay();
  const { route } = drawn;
  const parts = partsOf();
  if (!parts.length) return null;
  if (!route) return <p className="about faint">{parts.join(" · ")}</p>;
  return (
    <details className="about faint">
      <summary>{parts.join(" · ")}</summary>
      <RouteTable route={route} />
    </details>
  );

  function partsOf(): string[] {
    const model = route?.model ?? drawn.model;
    const tokens = (route?.usage ?? drawn.usage)?.total_tokens;
    return [
      model && (route && route.mode !== "primary" && route.mode !== "offline" ? `${model} (${say(MODES[route.mode])})` : model),
      turn.first !== null && say("firstWord", { time: secondsWords(say, turn.first) }),
      turn.total !== null && say("totalTime", { time: secondsWords(say, turn.total) }),
      tokens ? say("tokens", { n: tokens.toLocaleString() }) : "",
      route && costOf(route),
      route?.cached && savedOf(route.cached),
      turn.tools === 1 ? say("toolCountOne") : turn.tools > 1 && say("toolCount", { n: turn.tools }),
    ].filter((part): part is string => !!part);
  }

  function savedOf({ age, cost_saved: saved }: NonNullable<Route["cached"]>): string {
    const time = secondsWords(say, age);
    return saved ? say("cachedSaved", { time, saved: costWords(saved) }) : say("cachedAge", { time });
  }

  function costOf({ cost, tried }: Route): string {
    if (cost === undefined) return "";
    const failed = tried.reduce((sum, attempt) => sum + (attempt.cost ?? 0), 0);
    if (!failed) return costWords(cost);
    return say("costOfFailed", { cost: costWords(cost), failed: costWords(failed) });
  }
}

function RouteTable({ route }: { route: Route }) {
  const say = useSay();
  return (
    <div className="table">
      <table>
        <caption className="hidden">{say("routeTitle")}</caption>
        <thead>
          <tr>
            {(["routeModel", "routeOutcome", "routeSeconds", "routeTokens", "routeCost"] as const).map((key) => (
              <th key={key} scope="col">
                {say(key)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {route.tried.map((attempt, i) => (
            <tr key={i}>
              <td>{attempt.model}</td>
              <td title={attempt.message}>{failureWords(say, attempt.failure)}</td>
              <td>{attempt.seconds ?? ""}</td>
              <td>{attempt.usage?.total_tokens ?? ""}</td>
              <td>{attempt.cost === undefined ? "" : costWords(attempt.cost)}</td>
            </tr>
          ))}
          <tr>
            <td>{route.model}</td>
            <td>
              {say("routeAnswered")} ({say(MODES[route.mode])})
            </td>
            <td />
            <td>{route.usage?.total_tokens ?? ""}</td>
            <td>{route.cost === undefined ? "" : costWords(route.cost)}</td>
          </tr>
        </tbody>
      </table>
    </div>
  );
}
