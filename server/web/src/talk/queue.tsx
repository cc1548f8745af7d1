/** What was said and waits for its turn. */

import { useEffect } from "react";

import { useSay } from "../language";
import { useValue } from "../store";
import { drop, dropTaken, load, waiting } from "../thread/queue";
import { stop } from "../thread/runs";
import type { ThreadState } from "../thread/state";
import type { Attempt } from "./refusal";

interface Props {
  threadId: string;
  state: ThreadState;
  attempt: Attempt;
  ask: (text: string) => void;
}

export function Queue({ threadId, state, attempt, ask }: Props) {
  const say = useSay();
  const entries = useValue(waiting)[threadId] ?? [];
  useEffect(() => void load(threadId).catch(() => undefined), [threadId]);
  useEffect(() => dropTaken(threadId, state), [threadId, state]);
  const known = new Set(state.stored.map((message) => message.id));
  const busy = state.phase === "busy";
  return entries
    .filter(({ id }) => !known.has(id))
    .map(({ id, text, runId }) => {
      const queued = runId !== null && runId !== state.run?.id && busy;
      const failed = runId !== null && runId === state.run?.id && state.phase === "failed";
      const askAgain = () => (drop(threadId, (entry) => entry.id === id), ask(text));
      const leave = () => attempt(() => stop(threadId, runId, true)).then(() => drop(threadId, (entry) => entry.id === id), () => undefined);
      return (
        <article key={id} className="message human waiting" aria-label={say("you")}>
          <div className="bubble plain">{text}</div>
          <p className="bar faint">
            {queued && say("queued")}
            {runId === null && say("sending")}
            {failed && say("notAnswered")}
            {failed && <button className="quiet small" onClick={askAgain}>{say("askAgain")}</button>}
            {queued && <button className="quiet small" onClick={() => void leave()}>{say("unqueue")}</button>}
          </p>
        </article>
      );
    });
}
