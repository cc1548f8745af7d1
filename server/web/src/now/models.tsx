/** Each model: whether it is asked, when it is asked again, and how it fared. */

import { type Say, useSay } from "../language";
import { Countdown } from "./countdown";
import { NONE, useFormat } from "./format";
import type { Breaker, Model } from "./shape";
import type { Timed } from "./state";
import { Table } from "./table";

export function Models({ models }: { models: Timed<Model>[] }) {
  const say = useSay();
  const { count, seconds, share, cost } = useFormat();
  return (
    <Table title={say("nowModels")} none={say("nowNoModels")} rows={models} keyOf={({ name }) => name}
      columns={[
        { name: say("nowModel"), cell: ({ name }) => name },
        { name: say("nowCircuit"), cell: ({ circuit, again }) => <Circuit state={circuit} again={again} /> },
        { name: say("nowFirstWord"), number: true, cell: ({ latency }) => seconds(latency) },
        { name: say("nowFailing"), number: true, cell: ({ failing }) => share(failing) },
        { name: say("nowCalls"), number: true, minor: true, cell: ({ calls }) => count(calls) },
        { name: say("nowFailures"), minor: true, cell: ({ failures }) => <Failures failures={failures} /> },
        { name: say("nowTokens"), number: true, minor: true, cell: ({ tokens }) => count(tokens) },
        { name: say("nowCost"), number: true, minor: true, cell: (model) => cost(model.cost) },
      ]}
    />
  );
}

/** Circuits of keys and accounts, which no model's row shows. */
export function Breakers({ breakers, models }: { breakers: Timed<Breaker>[]; models: Model[] }) {
  const say = useSay();
  const others = breakers.filter(({ subject }) => !models.some(({ name }) => name === subject));
  if (!others.length) return null;
  return (
    <Table title={say("nowBreakers")} none="" rows={others} keyOf={({ subject }) => subject}
      columns={[
        { name: say("nowSubject"), cell: ({ subject }) => subject },
        { name: say("nowCircuit"), cell: ({ state, again }) => <Circuit state={state} again={again} /> },
      ]}
    />
  );
}

export function Failures({ failures }: { failures: Record<string, number> }) {
  const counted = Object.entries(failures).filter(([, times]) => times > 0);
  return counted.length ? <>{counted.map(([kind, times]) => `${kind} × ${times}`).join(", ")}</> : <>{NONE}</>;
}

function Circuit({ state, again }: { state: Model["circuit"]; again: number | null }) {
  const say = useSay();
  return (
    <span className={`now-circuit ${state}`}>
      {nameOf(state, say)}
      {state !== "closed" && again !== null && <> · <Countdown until={again} /></>}
    </span>
  );
}

function nameOf(state: Model["circuit"], say: Say): string {
  if (state === "open") return say("nowOpen");
  if (state === "half_open") return say("nowHalfOpen");
  return say(state === "doubtful" ? "nowDoubtful" : "nowClosed");
}
