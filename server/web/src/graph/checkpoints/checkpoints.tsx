/** The checkpoints of a thread: their tree, and the one that is selected. */

import { useEffect, useMemo, useState } from "react";

import { useSay } from "../../language";
import type { Feed } from "../../thread/feed";
import type { Assistant } from "../use-assistant";
import { runOn } from "../runs";
import { CheckpointList } from "./checkpoint-list";
import { CheckpointPanel } from "./checkpoint-panel";
import { treeOf } from "./lanes";
import { useHistory } from "./use-history";

interface Props {
  threadId: string;
  feed: Feed | null;
  /** Null until it is known: the tree is shown all the same. */
  assistant: Assistant | null;
  nodes: readonly string[];
  running: boolean;
  /** The state was edited. */
  edited: () => void;
}

export function Checkpoints({ threadId, feed, assistant, nodes, running, edited }: Props) {
  const say = useSay();
  const history = useHistory(threadId, feed);
  const tree = useMemo(() => treeOf(history.all.values()), [history.all]);
  const [selected, select] = useState<string | null>(null);
  const [compared, compare] = useState<string | null>(null);
  useEffect(() => (select(null), compare(null)), [threadId]);
  const checkpoint = selected === null ? null : (history.all.get(selected) ?? null);
  return (
    <section className="checkpoints" aria-label={say("graphCheckpoints")}>
      <h2>
        {say("graphCheckpoints")} <span className="faint">{history.all.size}{history.more ? "+" : ""}{tree.branches > 1 && ` · ${say("graphBranches", { count: tree.branches })}`}</span>
      </h2>
      {history.error && <p className="bad" role="alert">{history.error}</p>}
      {history.all.size === 0 && !history.loading && <p className="faint">{say("graphNoCheckpoints")}</p>}
      <CheckpointList {...{ history, tree, selected, compared, select }} />
      {history.more && (
        <button className="quiet" disabled={history.loading} onClick={history.older}>{say(history.loading ? "loading" : "graphOlder")}</button>
      )}
      {checkpoint && assistant && (
        <CheckpointPanel
          {...{ threadId, nodes, checkpoint, running, compare }}
          assistantId={assistant.assistant_id}
          compared={compared === null ? null : (history.all.get(compared) ?? null)}
          runFrom={(id) => runOn(threadId, assistant.assistant_id, id)}
          forked={(id) => (history.refresh(), select(id), edited())}
        />
      )}
    </section>
  );
}
