/** One checkpoint: what has changed, its state, and what can be done from there. */

import { useState } from "react";

import { language, useSay } from "../../language";
import { useValue } from "../../store";
import type { Checkpoint } from "./checkpoint";
import { madeBy } from "./checkpoint";
import { ChangeView } from "./change-view";
import { EditState } from "./edit-state";
import { fork, tidy } from "./edit";
import { nameOf, timeOf } from "./row-text";
import { useStates } from "./state";
import { StateView } from "./value-view";

interface Props {
  threadId: string;
  assistantId: string;
  nodes: readonly string[];
  checkpoint: Checkpoint;
  /** What it is compared with, where the reader has chosen one. */
  compared: Checkpoint | null;
  running: boolean;
  compare: (id: string | null) => void;
  runFrom: (id: string) => Promise<void>;
  /** A fork was written. */
  forked: (id: string) => void;
}

const VIEWS = [["changes", "graphChanges"], ["state", "graphState"], ["edit", "graphEdit"]] as const;
type View = (typeof VIEWS)[number][0];

export function CheckpointPanel(props: Props) {
  const { threadId, assistantId, nodes, checkpoint, compared, running, compare, runFrom, forked } = props;
  const say = useSay();
  const lang = useValue(language);
  const [view, setView] = useState<View>("changes");
  const [error, setError] = useState<string | null>(null);
  const { id, parent, step } = checkpoint;
  const states = useStates(threadId, id, compared?.id ?? parent);
  const title = (of: Checkpoint) => [say("graphStep", { step: of.step }), nameOf(say, of), timeOf(of.at, lang)].join(" · ");
  const run = (from: string) => runFrom(from).then(() => setError(null), (reason: Error) => setError(reason.message));
  const next = states.value?.next ?? null;
  const isOver = next !== null && next.length === 0;
  return (
    <section className="checkpoint" aria-label={say("graphCheckpoint", { step })}>
      <h3>{title(checkpoint)}</h3>
      {next !== null && next.length > 0 && <p className="faint">{say("graphNext", { nodes: next.map((name) => (name === "__start__" ? say("graphStart") : name)).join(", ") })}</p>}
      <p className="graph-actions">
        <button disabled={running || isOver} onClick={() => void run(id)} title={isOver ? say("graphIsOver") : undefined}>{say("graphRunAgain")}</button>
        {compared ? (
          <button onClick={() => compare(null)}>{say("graphCompareEnd")}</button>
        ) : (
          <button onClick={() => compare(id)}>{say("graphCompare")}</button>
        )}
      </p>
      {error && <p className="bad" role="alert">{error}</p>}
      {compared && <p className="compared-with">{compared.id === id ? say("graphCompareChoose") : say("graphComparedWith", { checkpoint: title(compared) })}</p>}
      <div className="graph-views" role="group" aria-label={say("graphView")}>
        {VIEWS.map(([each, text]) => <button key={each} aria-pressed={view === each} onClick={() => setView(each)}>{say(text)}</button>)}
      </div>
      {states.error && <p className="bad" role="alert">{states.error}</p>}
      {!states.value && !states.error && <p className="faint">{say("loading")}</p>}
      {states.value && view === "changes" && <ChangeView before={states.value.before} after={states.value.after} />}
      {states.value && view === "state" && <StateView values={states.value.after} />}
      {states.value && view === "edit" && (
        <EditState
          key={id}
          {...{ assistantId, nodes }}
          madeBy={madeBy(checkpoint)[0] ?? null}
          values={tidy(states.value.after)}
          save={async (values, asNode, andRun) => {
            const made = await fork(threadId, id, tidy(states.value?.after ?? {}), values, asNode);
            setView("changes");
            forked(made);
            if (andRun) await run(made);
          }}
        />
      )}
    </section>
  );
}
