/** What the nodes do and which of them glow, for the components that draw them. */

import { useEffect, useRef, useState } from "react";

import type { Feed } from "../thread/feed";
import { type Activity, follow, idle } from "./activity";
import { Clock } from "./clock";
import { type Glow, glow, glowing, nextChange } from "./glow";

export interface Followed {
  activity: Activity;
  /** How far the reader's clock is ahead of the service's, in ms. */
  ahead: number;
}

/** What was known before this part of the page was opened does not glow. */
export function useActivity(feed: Feed | null): Followed {
  const [followed, setFollowed] = useState<Followed>({ activity: idle, ahead: 0 });
  useEffect(() => {
    let activity = idle;
    const clock = new Clock();
    setFollowed({ activity, ahead: 0 });
    let isOld = true;
    const leave = feed?.subscribe((events) => {
      const before = activity;
      activity = events.reduce(follow, activity);
      if (isOld) activity = { ...activity, starts: activity.starts.map((start) => ({ ...start, fresh: false })) };
      else clock.hear(events.map(({ timestamp }) => timestamp), Date.now());
      if (activity !== before) setFollowed({ activity, ahead: clock.ahead });
    });
    isOld = false;
    return leave;
  }, [feed]);
  return followed;
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

/** The time, again and again while something runs. */
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
