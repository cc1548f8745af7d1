/** The messages of a thread, newest at the bottom. Of a long thread the newest part is drawn first. */

import { useEffect, useLayoutEffect, useRef, useState } from "react";

import { useSay } from "../language";
import { Boundary } from "../shell/boundary";
import type { Switch } from "../thread/branches";
import type { Entry } from "../thread/entries";
import { type Actions, MessageView } from "./message";
import { FallbackLine, NoAnswer, RunFailed, TakenBack } from "./notes";

const FIRST = 40; // entries that are drawn at once
const MORE = 60;
const NEAR = 48; // pixels from the bottom that still count as the bottom

interface Props {
  entries: Entry[];
  actions: Actions;
  busy: boolean;
  switches: ReadonlyMap<number, Switch>;
  ask: (text: string) => void;
  /** What stands below the messages. */
  children: React.ReactNode;
  /** Changes when the reader has said something: then the end is shown. */
  said: number;
}

export function Log({ entries, actions, busy, switches, ask, children, said }: Props) {
  const say = useSay();
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const [most, setMost] = useState(FIRST);
  const hidden = Math.max(0, entries.length - most);
  const shown = hidden ? entries.slice(hidden) : entries;
  const newest = entries.findLast((entry) => entry.kind === "message")?.key;

  useLayoutEffect(() => {
    atEnd.current = true;
  }, [said]);

  // After each drawing, and when something is drawn later: an image of a table, a font.
  useLayoutEffect(() => {
    if (box.current && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  });
  useEffect(() => {
    const content = box.current?.firstElementChild;
    if (!content) return;
    const observer = new ResizeObserver(() => {
      if (box.current && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
    });
    observer.observe(content);
    return () => observer.disconnect();
  }, []);

  const scrolled = () => {
    const { scrollHeight, scrollTop, clientHeight } = box.current!;
    atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR;
  };

  return (
    <div className="log" ref={box} onScroll={scrolled} role="log" aria-label={say("talkLog")} aria-busy={busy} tabIndex={0}>
      <div className="messages">
        {hidden > 0 && <Earlier hidden={hidden} more={() => setMost((before) => before + MORE)} box={box} />}
        {shown.map((entry) => (
          <One key={entry.key} {...{ entry, actions, busy, ask }} newest={entry.key === newest} switches={switches} />
        ))}
        {children}
      </div>
    </div>
  );
}

interface OneProps extends Pick<Props, "actions" | "busy" | "switches" | "ask"> {
  entry: Entry;
  newest: boolean;
}

function One({ entry, actions, busy, newest, switches, ask }: OneProps) {
  const say = useSay();
  switch (entry.kind) {
    case "message": {
      const siblings = entry.index >= 0 ? switches.get(entry.index) : undefined;
      return (
        <Boundary of={entry.key}>
          <MessageView {...{ entry, actions, busy, newest, siblings }} />
        </Boundary>
      );
    }
    case "taken":
      return <TakenBack taken={entry} />;
    case "fallback":
    case "retry":
      return <FallbackLine line={entry} />;
    case "unanswered":
      return <NoAnswer entry={entry} ask={ask} />;
    case "failure":
      return <RunFailed failure={entry} />;
    case "gap":
      return <p className="line gap">{say("eventsLost")}</p>;
  }
}

/** Draws more when it comes into sight, and when it is pressed. */
function Earlier({ hidden, more, box }: { hidden: number; more: () => void; box: React.RefObject<HTMLDivElement | null> }) {
  const say = useSay();
  const button = useRef<HTMLButtonElement>(null);
  const height = useRef(0);
  // What is drawn above must not move what is read.
  useLayoutEffect(() => {
    const element = box.current;
    if (element && height.current && element.scrollTop < 200) element.scrollTop += element.scrollHeight - height.current;
    height.current = element?.scrollHeight ?? 0;
  }, [hidden, box]);
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([seen]) => {
        if (!seen?.isIntersecting) return;
        height.current = box.current?.scrollHeight ?? 0;
        more();
      },
      { root: box.current, rootMargin: "600px 0px 0px 0px" },
    );
    if (button.current) observer.observe(button.current);
    return () => observer.disconnect();
  }, [hidden]);
  return (
    <button className="quiet earlier" ref={button} onClick={more}>
      {say("earlier", { n: hidden })}
    </button>
  );
}
