import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { get } from "../api";
import type { Switch } from "./branches";
import { History } from "./history";
import { opened } from "./reducer";
import { EMPTY, type StoredState, type ThreadState } from "./state";
import { session } from "../stored";

const STORED = "everturn.branch.";

export interface Branches {
  history: History | null;
  switches: ReadonlyMap<number, Switch>;
  /** The end of the branch that is shown, where it is not the newest. */
  leaf: string | null;
  /** The state of that branch. */
  shown: ThreadState | null;
  show(leaf: string | null): void;
}

const NONE: ReadonlyMap<number, Switch> = new Map();

/** The branches of a thread: read when it is opened, and after each of its runs. */
export function useBranches(threadId: string | null, state: ThreadState): Branches {
  const history = useMemo(() => (threadId === null ? null : new History(threadId)), [threadId]);
  const [leaf, setLeaf] = useState<string | null>(null);
  const [shown, setShown] = useState<ThreadState | null>(null);
  const [switches, setSwitches] = useState(NONE);
  const read = useRef<{ of: History; moment: number } | null>(null);
  const { phase, run } = state;
  const many = state.stored.length;

  useEffect(() => {
    setSwitches(NONE);
    setShown(null);
    setLeaf(threadId && session.getItem(STORED + threadId));
  }, [threadId]);

  const show = useCallback(
    (next: string | null) => {
      if (threadId === null) return;
      if (next === null) session.removeItem(STORED + threadId);
      else session.setItem(STORED + threadId, next);
      if (next === null) setShown(null);
      setLeaf(next);
    },
    [threadId],
  );

  // A run that begins is the newest branch: it is what everybody wants to see. The first that is
  // told has ended long ago, unless it is under way; a short one begins and ends between two frames.
  const known = useRef<{ threadId: string | null; runId: string } | null>(null);
  const runId = run?.id ?? null;
  useEffect(() => {
    if (runId === null) return;
    const first = known.current?.threadId !== threadId;
    const news = first ? phase === "busy" : known.current?.runId !== runId;
    known.current = { threadId, runId };
    if (news) show(null);
  }, [threadId, runId, phase, show]);

  useEffect(() => {
    if (!history || phase === "busy" || many === 0) return;
    let left = false;
    void (async () => {
      try {
        // To look at another branch brings no new checkpoints.
        const moment = run?.ended ?? 0;
        if (read.current?.of !== history || read.current.moment !== moment) {
          await history.refresh();
          read.current = { of: history, moment };
        }
        const tree = history.tree;
        const end = leaf !== null && tree.has(leaf) ? leaf : tree.head;
        if (end === null || left) return;
        const counts = await history.count(tree.forks(end));
        if (!left) setSwitches(tree.switches(end, counts));
        if (leaf === null || end !== leaf || left) return;
        const stored = await get<StoredState>(`/threads/${threadId}/state/${leaf}`);
        if (!left) setShown(opened(EMPTY, stored, "idle"));
      } catch {
        if (!left) setSwitches(NONE); // without the history there is nothing to switch to
      }
    })();
    return () => void (left = true);
  }, [history, phase, run?.ended, many > 0, leaf, threadId]);

  return { history, switches, leaf, shown: leaf === null ? null : shown, show };
}

