/** The list of threads: newest first, without an end. */

import { type KeyboardEvent, useEffect, useRef, useState } from "react";

import { useSay } from "../language";
import { hashOf } from "../place";
import { useValue } from "../store";
import "../style/threads.css";
import { Filters } from "./filters";
import { fits, titleOf } from "./list";
import { failure, filter, firstMessages, list, loadMore } from "./loading";
import { Row } from "./row";

/** A search for text goes on by itself this far; then the reader is asked. */
const MAX_SEARCHED = 300;

export function Threads({ current }: { current: string | null }) {
  const say = useSay();
  const { threads, more } = useValue(list);
  const { text } = useValue(filter);
  const first = useValue(firstMessages);
  const problem = useValue(failure);
  const [stop, setStop] = useState<string | null>(null);
  const rows = threads
    .map((thread) => ({ thread, title: titleOf(thread, first[thread.thread_id]) }))
    .filter(({ thread, title }) => !text.trim() || fits(text, title, thread.thread_id));
  const shown = rows.map(({ thread }) => thread.thread_id);
  const tabStop = [stop, current].find((id) => id !== null && shown.includes(id)) ?? shown[0];

  return (
    <div className="threads">
      <h2 className="hidden">{say("threads")}</h2>
      <a className="button primary" href={hashOf({ name: "talk", threadId: null })}>{say("newThread")}</a>
      <Filters count={threads.length} />
      <ul role="list" className="rows" onKeyDown={walk}>
        {rows.map(({ thread, title }) => (
          <li key={thread.thread_id}>
            <Row
              thread={thread}
              title={title}
              current={thread.thread_id === current}
              stop={thread.thread_id === tabStop}
              onFocus={() => setStop(thread.thread_id)}
            />
          </li>
        ))}
      </ul>
      {problem ? (
        <p className="bad" role="alert">
          {problem instanceof TypeError ? say("away") : problem.message}{" "}
          <button onClick={() => void loadMore()}>{say("tryAgain")}</button>
        </p>
      ) : more ? (
        <End key={text} loaded={threads.length} asks={text.trim() !== ""} />
      ) : (
        rows.length === 0 && <p className="faint">{say(threads.length ? "noneFits" : "noThreads")}</p>
      )}
    </div>
  );
}

/** The end of what was loaded: when it comes into sight, the next page is loaded. */
function End({ loaded, asks }: { loaded: number; asks: boolean }) {
  const say = useSay();
  const mark = useRef<HTMLDivElement>(null);
  const [inSight, setInSight] = useState(false);
  const [limit, setLimit] = useState(loaded + MAX_SEARCHED);
  const waits = asks && loaded >= limit;

  useEffect(() => {
    if (!mark.current) return;
    const watch = new IntersectionObserver(([entry]) => setInSight(!!entry?.isIntersecting), { rootMargin: "400px" });
    watch.observe(mark.current);
    return () => watch.disconnect();
  }, []);
  // Once more after each page, for as long as it is in sight.
  useEffect(() => {
    if (inSight && !waits) void loadMore();
  }, [inSight, waits, loaded]);

  return (
    <div ref={mark} className="end faint">
      {waits ? (
        <button onClick={() => setLimit(loaded + MAX_SEARCHED)}>{say("searchOn")}</button>
      ) : (
        say("loading")
      )}
    </div>
  );
}

/** Arrow keys go from thread to thread. */
function walk(event: KeyboardEvent<HTMLElement>): void {
  const links = [...event.currentTarget.querySelectorAll<HTMLElement>("a.thread")];
  const row = (event.target as HTMLElement).closest("li")?.querySelector<HTMLElement>("a.thread");
  const at = row ? links.indexOf(row) : -1;
  const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 };
  const next = links[steps[event.key] ?? -1];
  if (!next || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  next.focus();
}
