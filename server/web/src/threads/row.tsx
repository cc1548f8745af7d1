/** One thread of the list: its state, its title, and what can be done with it. */

import { useEffect, useRef, useState } from "react";

import { focus } from "../focus";
import { language, useSay } from "../language";
import { hashOf } from "../place";
import { useValue } from "../store";
import { copy, exportAs, remove, rename } from "./actions";
import { type Thread, graphOf } from "./list";
import { Menu } from "./menu";
import { ago } from "./time";

interface Props {
  thread: Thread;
  title: string;
  current: boolean;
  /** Whether the Tab key stops here: it does once in the list, the arrow keys go on from there. */
  stop: boolean;
  onFocus: () => void;
}

export function Row({ thread, title, current, stop, onFocus }: Props) {
  const say = useSay();
  const lang = useValue(language);
  const [doing, setDoing] = useState<"rename" | "delete" | null>(null);
  const [problem, setProblem] = useState("");
  const shown = title || say("untitled");
  const link = useRef<HTMLAnchorElement>(null);
  const did = useRef(false);
  // What was asked in the row is gone: the keyboard goes on from the row itself.
  useEffect(() => {
    if (doing) did.current = true;
    else if (did.current) link.current?.focus();
  }, [doing]);

  const attempt = (work: () => Promise<void>) => {
    setProblem("");
    work().catch((error: Error) => setProblem(error.message));
  };

  if (doing === "rename") {
    return (
      <Rename
        title={title}
        onDone={(next) => {
          setDoing(null);
          if (next !== null && next.trim() !== title) attempt(() => rename(thread, next));
        }}
      />
    );
  }
  return (
    <>
      <a
        ref={link}
        className="thread"
        href={hashOf({ name: "talk", threadId: thread.thread_id })}
        aria-current={current ? "page" : undefined}
        tabIndex={stop ? 0 : -1}
        onFocus={onFocus}
      >
        <span className={`dot ${thread.status}`} title={say(thread.status)} aria-hidden="true" />
        <span className="title">{shown}</span>
        <span className="faint">
          <span className="hidden">{say(thread.status)}, </span>
          {[graphOf(thread), ago(thread.updated_at, Date.now(), lang)].filter(Boolean).join(" · ")}
        </span>
      </a>
      <Menu
        label={say("menuOf", { title: shown })}
        tabIndex={stop ? 0 : -1}
        items={[
          { label: say("rename"), act: () => setDoing("rename") },
          { label: say("copyThread"), act: () => attempt(() => copy(thread, say("copyOf", { title: shown }))) },
          { label: say("exportJson"), act: () => attempt(() => exportAs(thread, "json")) },
          { label: say("exportMarkdown"), act: () => attempt(() => exportAs(thread, "markdown")) },
          { label: say("delete"), act: () => setDoing("delete"), bad: true },
        ]}
      />
      {doing === "delete" && (
        <div className="ask" role="group" aria-label={say("deleteAsk")} onKeyDown={(event) => event.key === "Escape" && setDoing(null)}>
          <span>{say("deleteAsk")}</span>
          <button
            className="danger"
            onClick={() => {
              setDoing(null);
              attempt(() => remove(thread));
            }}
          >
            {say("delete")}
          </button>
          <button ref={focus} onClick={() => setDoing(null)}>{say("keep")}</button>
        </div>
      )}
      {problem && <p className="bad" role="alert">{problem}</p>}
    </>
  );
}

/** Enter saves, Escape and leaving the field do not. */
function Rename({ title, onDone }: { title: string; onDone: (title: string | null) => void }) {
  const say = useSay();
  const [text, setText] = useState(title);
  return (
    <form
      className="rename"
      onSubmit={(event) => {
        event.preventDefault();
        onDone(text);
      }}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape") onDone(null);
      }}
    >
      <label className="hidden" htmlFor="rename">{say("title")}</label>
      <input
        id="rename"
        ref={focus}
        maxLength={200}
        value={text}
        onFocus={(event) => event.target.select()}
        onChange={(event) => setText(event.target.value)}
      />
      <button className="primary">{say("save")}</button>
      <button type="button" onClick={() => onDone(null)}>{say("cancel")}</button>
    </form>
  );
}
