/** What the nodes do and which of them glow, for the components that draw them. */

import { useEffect, useRef, useState } from "react";

import type { Feed } from "../thread/feed";
import { type Activity, follow, idle } from "./activity";
import { type Glow, glow, glowing, nextChange } from "./glow";

/** What was known before this part of the page was opened does not glow. */
export function useActivity(feed: Feed | null): Activity {
  const [activity, setActivity] = useState(idle);
  useEffect(() => {
    let current = idle;
    setActivity(current);
    let isOld = true;
    const leave = feed?.subscribe((events) => {
      current = events.reduce(follow, current);
      if (isOld) current = { ...current, starts: current.starts.map((start) => ({ ...start, fresh: false })) };
      setActivity(current);
    });
    isOld = false;
    return leave;
  }, [feed]);
  return activity;
}

/** The paths of the nodes that glow now. */
export function useGlowing({ starts, tasks }: Activity): ReadonlySet<string> {
  const [lit, setLit] = useState<ReadonlySet<string>>(new Set<string>());
  const lights = useRef<Glow>(new Map());
  const seen = useRef<Activity["starts"]>([]);
  useEffect(() => {
    const goesOn = seen.current.length <= starts.length && seen.current.every((start, index) => start === starts[index]);
    const since = goesOn ? seen.current.length : 0;
    lights.current = glow(goesOn ? lights.current : new Map(), starts.slice(since), tasks, Date.now());
    seen.current = starts;
    let timer = 0;
    const show = () => {
      const now = Date.now();
      setLit(glowing(lights.current, now));
      const next = nextChange(lights.current, now);
      if (next !== null) timer = window.setTimeout(show, next - now);
    };
    show();
    return () => clearTimeout(timer);
  }, [starts, tasks]);
  return lit;
}

/** The seconds since a moment of the service's clock, counted on by the reader's while something runs. */
export function useTick(running: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!running) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 100);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}
