/** The last turns, newest first; each leads to its thread. */

import { useSay } from "../language";
import { hashOf } from "../place";
import { useFormat } from "./format";
import type { Turn } from "./shape";
import { Table } from "./table";

export function Turns({ turns }: { turns: Turn[] }) {
  const say = useSay();
  const { clock, count, seconds } = useFormat();
  return (
    <Table title={say("nowTurnList")} none={say("nowNoTurns")} rows={turns} keyOf={({ run_id }) => run_id}
      columns={[
        { name: say("nowEnded"), cell: (turn) => <Ended turn={turn} time={clock(turn.ended_at)} /> },
        { name: say("nowGraph"), minor: true, cell: ({ graph }) => graph },
        { name: say("nowModel"), cell: ({ model, fallbacks }) => <>{model ?? "–"}{fallbacks > 0 && <small className="now-fell"> {say("nowFallbacks", { times: fallbacks })}</small>}</> },
        { name: say("nowStatus"), cell: (turn) => <Status turn={turn} /> },
        { name: say("nowFirstWord"), number: true, minor: true, cell: ({ first_token }) => seconds(first_token) },
        { name: say("nowTook"), number: true, cell: (turn) => seconds(turn.seconds) },
        { name: say("nowTokens"), number: true, minor: true, cell: ({ tokens }) => count(tokens) },
        { name: say("nowCost"), number: true, minor: true, cell: (turn) => <Cost turn={turn} /> },
        { name: say("nowAttempts"), number: true, minor: true, cell: ({ attempts }) => count(attempts) },
      ]}
    />
  );
}

function Ended({ turn: { thread_id }, time }: { turn: Turn; time: string }) {
  const say = useSay();
  if (thread_id === null) return <span title={say("nowNoThread")}>{time}</span>;
  const where = hashOf({ name: "talk", threadId: thread_id });
  return <a href={where} aria-label={say("nowOpenThread", { time })}>{time}</a>;
}

function Status({ turn: { status, error } }: { turn: Turn }) {
  const say = useSay();
  if (status === "error") return <span className="bad">{error ?? say("nowError")}</span>;
  if (status === "interrupted") return <span className="now-fell">{say("nowAsks")}</span>;
  return <>{say(status === "cancelled" ? "nowCancelled" : "nowDone")}</>;
}

function Cost({ turn }: { turn: Turn }) {
  const say = useSay();
  const { cost } = useFormat();
  const failed = turn.failed_cost ? say("nowCostFailed", { cost: cost(turn.failed_cost) }) : "";
  return <>{cost(turn.cost)}{failed && <small className="faint"> {failed}</small>}</>;
}
