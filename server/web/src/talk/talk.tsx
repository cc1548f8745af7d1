/** The place Talk: a thread, its newest state as it comes, and what the reader can do with it. */

import { useCallback, useMemo, useState } from "react";

import { useSay } from "../language";
import { go } from "../place";
import { create, useValue } from "../store";
import "../style/talk.css";
import { freshId } from "../thread/ids";
import { useFeed } from "../thread/open";
import { again, begin, say as sayTo, stop } from "../thread/runs";
import { EMPTY } from "../thread/state";
import { useBranches } from "../thread/use-branches";
import { made, useConversation } from "../thread/use-conversation";
import { Channels } from "./channels";
import { Composer, type Said } from "./composer";
import { useEntries } from "./entries";
import { useWaiting } from "./answer";
import { InterruptCard } from "./interrupt";
import { Log } from "./log";
import type { Actions } from "./message";
import { Queue } from "./queue";
import { Status } from "./status";
import { useRefusal } from "./refusal";
import { began } from "../threads/live";
import { useThreadAssistant } from "./thread-assistant";

const nothing = create(EMPTY);
const never = create(false);
const nowhere = create<"open" | "connecting" | "away" | "gone">("open");

export function Talk({ threadId }: { threadId: string | null }) {
  const say = useSay();
  const feed = useFeed(threadId);
  const conversation = useConversation(feed);
  const live = useValue(conversation?.state ?? nothing);
  const ready = useValue(conversation?.ready ?? never);
  const connection = useValue(feed?.connection ?? nowhere);
  const branches = useBranches(threadId, live);
  const state = branches.shown ?? live;
  const entries = useEntries(state);
  const [refusal, attempt] = useRefusal();
  const [said, setSaid] = useState(0);
  const { history, show, leaf, switches } = branches;
  useThreadAssistant(threadId);

  const send = useCallback(
    async (what: Said) => {
      setSaid((times) => times + 1);
      const start = (id: string, after: string | null): Promise<unknown> =>
        typeof what === "string" ? sayTo(id, what, after) : begin(id, what.input, after);
      if (threadId !== null) return void (await attempt(() => start(threadId, leaf)));
      // The thread is made by its first message; its run is followed from its first event.
      const id = freshId();
      await attempt(() => start(id, null));
      made.add(id);
      began(id, typeof what === "string" ? what : "");
      go({ name: "talk", threadId: id });
    },
    [threadId, leaf, attempt],
  );

  const actions = useMemo((): Actions => {
    const fork = (index: number, edit: boolean, then: (checkpoint: string) => Promise<void>) =>
      void attempt(async () => {
        const from = await history?.forkOf(leaf, index, edit);
        if (from) await then(from);
      }).catch(() => undefined);
    return {
      edit: (index, text) => fork(index, true, (checkpoint) => sayTo(threadId!, text, checkpoint)),
      regenerate: (index) => fork(questionOf(index), false, (checkpoint) => again(threadId!, checkpoint)),
      show,
    };
    /** How many messages there are up to the question that an answer belongs to. */
    function questionOf(index: number): number {
      const messages = state.stored;
      for (let at = index; at >= 0; at -= 1) if (messages[at]?.type === "human") return at + 1;
      return index;
    }
  }, [threadId, leaf, history, show, attempt, state.stored]);

  const ask = useCallback((text: string) => void send(text).catch(() => undefined), [send]);
  const end = useCallback(
    (rollback: boolean) => void attempt(() => stop(threadId!, live.run?.id ?? null, rollback)).catch(() => undefined),
    [threadId, live.run?.id, attempt],
  );

  const waiting = useWaiting(threadId, live.interrupts);

  const busy = live.phase === "busy";
  return (
    <div className="talk">
      {connection === "gone" && <p className="notice" role="status">{say("gone")}</p>}
      <Log key={threadId ?? ""} {...{ entries, actions, busy, switches, ask, said }}>
        {threadId !== null && !ready && <p className="faint">{say("loading")}</p>}
        {threadId === null && <p className="empty faint">{say("talkEmpty")}</p>}
        {threadId !== null && !branches.shown &&
          waiting.map((interrupt) => (
            <InterruptCard key={interrupt.id} threadId={threadId} interrupt={interrupt} />
          ))}
        <Channels channels={state.channels} memories={state.memories} whole={state.stored.length === 0} />
        {threadId !== null && <Queue threadId={threadId} state={live} attempt={attempt} ask={ask} />}
        <Status state={live} entries={entries} />
      </Log>
      <div className="below">
        {branches.shown && (
          <p className="older">
            {say("branchOld")} <button className="quiet small" onClick={() => show(null)}>{say("branchNewest")}</button>
          </p>
        )}
        {refusal && <p className="bad" role="alert">{refusal}</p>}
        <Composer threadId={threadId} phase={live.phase} send={send} stop={end} />
      </div>
    </div>
  );
}
