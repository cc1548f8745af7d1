/** Says that a thread has stopped in the middle, and lets it go on. */

import { useState } from "react";

import { useSay } from "../language";
import { hashOf } from "../place";
import { runOn } from "./runs";
import type { Stopped } from "./use-stopped";

export function StoppedNote({ threadId, assistantId, stopped }: { threadId: string; assistantId: string; stopped: Stopped }) {
  const say = useSay();
  const [error, setError] = useState<string | null>(null);
  const [sent, setSent] = useState(false);
  const nodes = stopped.before.map((name) => (name === "__start__" ? say("graphStart") : name)).join(", ");
  const goOn = () => {
    setSent(true);
    runOn(threadId, assistantId).then(() => setError(null), (reason: Error) => setError(reason.message)).finally(() => setSent(false));
  };
  return (
    <div className={`graph-stopped${stopped.failed ? " failed" : ""}`} role="status">
      {stopped.asks ? (
        <p>{say("graphAsks", { nodes })} <a href={hashOf({ name: "talk", threadId })}>{say("graphAnswer")}</a></p>
      ) : (
        <p>{say(stopped.failed ? "graphFailedAt" : "graphWaitsBefore", { nodes })}</p>
      )}
      {!stopped.asks && <button disabled={sent} onClick={goOn}>{say(stopped.failed ? "graphTryAgain" : "graphContinue")}</button>}
      {error && <p className="bad" role="alert">{error}</p>}
    </div>
  );
}
