/** The frame of the page: its places, its columns, and what is said of the whole. */

import { type MouseEvent, type ReactNode, Suspense, lazy, useEffect } from "react";

import { ready } from "../auth/begin";
import { signInNeeded } from "../auth/session";
import { SignIn } from "../auth/sign-in";
import { language, useSay } from "../language";
import { type Place, place } from "../place";
import { useValue } from "../store";
import { Talk } from "../talk/talk";
import { useLiveThreads } from "../threads/live";
import { Threads } from "../threads/threads";
import { refresh } from "../threads/loading";
import { Boundary } from "./boundary";
import { useReturn } from "./connection";
import { Header } from "./header";
import { useTitle } from "./title";
import { isNarrow, isWide } from "./wide";

const GraphPlace = lazy(() => import("../graph/graph-place"));
const Now = lazy(() => import("../now/now"));

export function Shell() {
  const here = useValue(place);
  const locked = useValue(signInNeeded) !== null;
  const begun = useValue(ready);
  const isAway = useReturn(() => void refresh());
  const lang = useValue(language);
  const say = useSay();
  useTitle();
  useEffect(() => void (document.documentElement.lang = lang), [lang]);
  return (
    <div className="shell">
      <a className="skip" href="#content" onClick={skip}>{say("skip")}</a>
      <Header here={here} />
      {!begun ? <p className="faint">{say("loading")}</p> : locked ? <SignIn /> : <Columns here={here} />}
      {isAway && begun && <p className="notice" role="status">{say("away")}</p>}
    </div>
  );
}

/** The address after `#` says where the reader is: it stays as it is. */
function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

/** Threads, then the place; beside a talk its graph, where there is room. */
function Columns({ here }: { here: Place }) {
  const say = useSay();
  const wide = useValue(isWide);
  const narrow = useValue(isNarrow);
  useLiveThreads(here.threadId);
  if (here.name === "now") return <main id="content" tabIndex={-1}><Loaded of="now"><Now /></Loaded></main>;
  const { threadId } = here;
  if (narrow && here.name === "threads") return <main id="content" className="alone" tabIndex={-1}>{threads(null)}</main>;
  const graph = <Loaded of={`graph ${threadId}`}><GraphPlace threadId={threadId} /></Loaded>;
  const talk = <Boundary of={threadId ?? ""}><Talk threadId={threadId} /></Boundary>;
  const atGraph = here.name === "graph";
  return (
    <div className={wide && !atGraph ? "columns three" : "columns"}>
      {!narrow && <nav className="side" aria-label={say("threads")}>{threads(threadId)}</nav>}
      <main id="content" tabIndex={-1}>{atGraph ? graph : talk}</main>
      {wide && !atGraph && <aside className="aside">{graph}</aside>}
    </div>
  );
}

const threads = (current: string | null) => <Boundary of="threads"><Threads current={current} /></Boundary>;

function Loaded({ of, children }: { of: string; children: ReactNode }) {
  const say = useSay();
  return (
    <Boundary of={of}>
      <Suspense fallback={<p className="faint">{say("loading")}</p>}>{children}</Suspense>
    </Boundary>
  );
}
