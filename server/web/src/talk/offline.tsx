/** Above an answer of the offline model: why, and when a model is expected back. */

import { useEffect, useState } from "react";

import { useSay } from "../language";
import type { Route } from "../thread/state";
import { chosen } from "../thread/settings";
import { loadModels } from "./catalogue";
import { type Outlook, outlookOf } from "./outlook";
import { reasonWords, secondsWords } from "./words";

const LATER = 15; // seconds after which the service is asked again

export function Offline({ route, newest, again }: { route: Route; newest: boolean; again: (() => void) | null }) {
  const say = useSay();
  return (
    <div className="offline">
      <strong>{say("offlineAnswer")}</strong> <span title={route.reason}>{reasonWords(say, route)}</span>
      {newest && <Countdown route={route} again={again} />}
    </div>
  );
}

function Countdown({ route, again }: { route: Route; again: (() => void) | null }) {
  const say = useSay();
  const until = route.expected_back ?? null;
  const [back, setBack] = useState<number | null>(until === null ? null : Date.parse(until));
  const [kind, setKind] = useState<Outlook["kind"]>("unknown");
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    let left = false;
    let timer = 0;
    const ask = async () => {
      const known = await loadModels().catch(() => null);
      if (left) return;
      const outlook: Outlook = known ? outlookOf(known, route, chosen.get().useFallback) : { kind: "unknown" };
      setKind(outlook.kind);
      if (outlook.kind === "unconfigured" || outlook.kind === "wanted") return;
      const wait = outlook.kind === "back" ? outlook.seconds : 0;
      if (outlook.kind === "back") setBack(Date.now() + wait * 1000);
      timer = window.setTimeout(ask, Math.max(1, Math.min(wait || LATER, LATER)) * 1000);
    };
    void ask();
    const tick = setInterval(() => setNow(Date.now()), 1000);
    return () => {
      left = true;
      clearTimeout(timer);
      clearInterval(tick);
    };
  }, []);
  if (kind === "unconfigured") return <> · {say("noModel")}</>;
  if (kind === "wanted" || back === null) return null;
  const left = Math.ceil((back - now) / 1000);
  if (left > 0) return <> · {say("backIn", { time: secondsWords(say, left) })}</>;
  return (
    <>
      {" · "}
      {say("backNow")} {again && <button className="quiet small" onClick={again}>{say("askAgain")}</button>}
    </>
  );
}
