/** Above an answer of the offline model: why, and when a model is expected back. */

import { useEffect, useState } from "react";

import { useSay } from "../language";
import type { Route } from "../thread/state";
import { chosen } from "../thread/settings";
import { type Model, loadModels } from "./catalogue";
import { secondsWords } from "./words";

const LATER = 15; // seconds after which the service is asked again

export function Offline({ route, newest, again }: { route: Route; newest: boolean; again: (() => void) | null }) {
  const say = useSay();
  return (
    <div className="offline">
      <strong>{say("offlineAnswer")}</strong> {route.reason}
      {newest && <Countdown route={route} again={again} />}
    </div>
  );
}

function Countdown({ route, again }: { route: Route; again: (() => void) | null }) {
  const say = useSay();
  const until = route.expected_back ?? null;
  const [back, setBack] = useState<number | null>(until === null ? null : Date.parse(until));
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    let left = false;
    let timer = 0;
    const ask = async () => {
      const known = await loadModels().catch(() => []);
      if (left) return;
      const models = known.filter(isAsked);
      const waits = models.map((model) => (model.circuit === "open" ? (model.retry_after ?? LATER) : 0));
      const wait = Math.min(...waits);
      if (models.length) setBack(Date.now() + wait * 1000);
      timer = window.setTimeout(ask, Math.max(1, Math.min(wait || LATER, LATER)) * 1000);
    };
    // Where no other model was to be asked, only those that were count.
    const isAsked = (model: Model) =>
      chosen.get().useFallback ? model.configured : route.tried.some((attempt) => attempt.model === model.name);
    void ask();
    const tick = setInterval(() => setNow(Date.now()), 1000);
    return () => {
      left = true;
      clearTimeout(timer);
      clearInterval(tick);
    };
  }, []);
  if (back === null) return null;
  const left = Math.ceil((back - now) / 1000);
  if (left > 0) return <> · {say("backIn", { time: secondsWords(left) })}</>;
  return (
    <>
      {" · "}
      {say("backNow")} {again && <button className="quiet small" onClick={again}>{say("askAgain")}</button>}
    </>
  );
}
