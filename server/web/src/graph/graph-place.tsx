/** The place Graph: the graph of a thread's assistant, alive, and the checkpoints of the thread. */

import { useEffect, useMemo, useState } from "react";

import "../style/graph.css";
import { useSay } from "../language";
import { useFeed } from "../thread/open";
import { AssistantChoice } from "./assistant-choice";
import { usePoints } from "./breakpoints";
import { Checkpoints } from "./checkpoints/checkpoints";
import { type Live, LiveContext } from "./live";
import { nodesOf, withEnd } from "./node-activity";
import { NodePanel } from "./node-panel";
import { Picture } from "./picture";
import { StoppedNote } from "./stopped-note";
import { useActivity, useGlowing } from "./use-activity";
import { namesOf, useAssistant, useDrawing } from "./use-assistant";
import { useStopped } from "./use-stopped";

export default function GraphPlace({ threadId }: { threadId: string | null }) {
  const say = useSay();
  const feed = useFeed(threadId);
  const { activity, ahead } = useActivity(feed);
  const glowing = useGlowing(activity);
  const assistant = useAssistant(threadId, activity.running);
  const drawing = useDrawing(assistant.value);
  const points = usePoints(assistant.value?.assistant_id ?? "");
  const [edits, setEdits] = useState(0);
  const stopped = useStopped(threadId, activity.running, edits);
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set<string>());
  const [selected, setSelected] = useState<string | null>(null);
  useEffect(() => (setFolded(new Set<string>()), setSelected(null)), [drawing.value]);

  const live = useMemo((): Live => ({
    nodes: nodesOf(activity),
    ahead,
    glowing,
    taken: withEnd(activity, stopped !== null),
    points,
    stoppedBefore: stopped && !stopped.failed ? stopped.before : [],
    selected,
    select: (path) => setSelected((before) => (before === path ? null : path)),
    fold: (path) => setFolded((before) => folding(before, path)),
  }), [activity, ahead, glowing, points, stopped, selected]);

  const nodes = (drawing.value?.nodes ?? []).map(({ id }) => id).filter((id) => !id.startsWith("__"));
  const roots = [...new Set(nodes.map((id) => id.split(":")[0] ?? id))];
  const error = assistant.error ?? drawing.error;
  return (
    <div className="graph-place">
      <div className="graph-columns">
        <section className="graph-drawn" aria-label={say("graph")}>
          <div className="graph-head">
            {threadId === null ? <AssistantChoice /> : <h2>{assistant.value?.name ?? ""}</h2>}
          </div>
          {threadId !== null && stopped && assistant.value && (
            <StoppedNote {...{ threadId, stopped }} assistantId={assistant.value.assistant_id} />
          )}
          {error && <p className="bad" role="alert">{error}</p>}
          {drawing.value && <LiveContext value={live}><Picture drawing={drawing.value} folded={folded} /></LiveContext>}
          {selected !== null && assistant.value && (
            <NodePanel
              path={selected}
              activity={live.nodes.get(selected)}
              points={points}
              assistantIds={namesOf(assistant.value)}
              close={() => setSelected(null)}
            />
          )}
        </section>
        {threadId !== null && (
          <Checkpoints
            {...{ threadId, feed }}
            assistant={assistant.value}
            nodes={roots}
            running={activity.running}
            edited={() => setEdits((count) => count + 1)}
          />
        )}
      </div>
    </div>
  );
}

function folding(before: ReadonlySet<string>, path: string): ReadonlySet<string> {
  const next = new Set(before);
  if (!next.delete(path)) next.add(path);
  return next;
}
