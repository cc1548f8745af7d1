/** Counts down by itself between what the service says. */

import { useEffect, useState } from "react";

import { useSay } from "../language";

const PAUSE = 250;
const LONG = 120; // seconds from which minutes are counted

/** `until` is a time of this browser's clock, in milliseconds. */
export function Countdown({ until }: { until: number }) {
  const say = useSay();
  const left = useSecondsTo(until);
  if (left > LONG) return <>{say("nowAgainInMinutes", { minutes: Math.ceil(left / 60) })}</>;
  return <>{left > 0 ? say("nowAgainIn", { seconds: left }) : say("nowAgainSoon")}</>;
}

function useSecondsTo(until: number): number {
  const [clock, setClock] = useState(Date.now);
  useEffect(() => {
    setClock(Date.now());
    const timer = setInterval(() => {
      setClock(Date.now());
      if (Date.now() > until) clearInterval(timer);
    }, PAUSE);
    return () => clearInterval(timer);
  }, [until]);
  return Math.max(0, Math.ceil((until - clock) / 1000));
}
