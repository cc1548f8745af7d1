/** What is known of the node that was clicked, and its breakpoints. */

import { useSay } from "../language";
import { type Points, type When, toggle } from "./breakpoints";
import type { NodeActivity } from "./node-activity";
import { spoken } from "./node-text";

interface Props {
  path: string;
  activity: NodeActivity | undefined;
  points: Points;
  assistantIds: readonly string[];
  close: () => void;
}

const WHENS = [["before", "graphStopBefore"], ["after", "graphStopAfter"]] as const;

export function NodePanel({ path, activity, points, assistantIds, close }: Props) {
  const say = useSay();
  const name = path.split(":").at(-1) ?? path;
  const set = (when: When) => toggle(assistantIds, path, when);
  return (
    <section className="graph-panel" aria-label={name} data-testid="node-panel">
      <p>{spoken(say, name, activity)}</p>
      {path.includes(":") ? (
        <p className="faint">{say("graphNoBreakpoints")}</p>
      ) : (
        WHENS.map(([when, text]) => (
          <button key={when} className="graph-toggle" aria-pressed={points[when].includes(path)} onClick={() => set(when)}>
            <span className="graph-mark" aria-hidden="true" /> {say(text)}
          </button>
        ))
      )}
      <button className="quiet" onClick={close}>{say("graphClose")}</button>
    </section>
  );
}
