/** One message: a question, or an answer with what it thinks, calls and says. */

import { type ReactNode, memo, useState } from "react";

import { focus } from "../focus";
import { useSay } from "../language";
import type { Switch } from "../thread/branches";
import type { MessageEntry } from "../thread/entries";
import { same } from "../thread/same";
import type { Block } from "../thread/state";
import type { Key } from "../strings";
import { AnswerLine } from "./answer-line";
import { Attachment } from "./attachment";
import { Copy } from "./copy";
import { Markdown } from "./markdown";
import { Offline } from "./offline";
import { ToolCard } from "./tool-card";

/** What can be done with a message; the same object as long as the thread is the same. */
export interface Actions {
  edit(index: number, text: string): void;
  regenerate(index: number): void;
  show(leaf: string): void;
}

interface Props {
  entry: MessageEntry;
  actions: Actions;
  /** Whether a run is under way: then nothing is asked otherwise. */
  busy: boolean;
  newest: boolean;
  siblings: Switch | undefined;
}

export const MessageView = memo(function MessageView(props: Props) {
  const { role } = props.entry.drawn;
  if (role === "human") return <Question {...props} />;
  if (role === "ai") return <Answer {...props} />;
  return <Other {...props} />;
}, alike);

/** Entries are made anew with each event; what they hold mostly is not. */
function alike(one: Props, other: Props): boolean {
  const { entry: a, ...left } = one;
  const { entry: b, ...right } = other;
  return (
    a.drawn === b.drawn &&
    a.index === b.index &&
    a.speaker === b.speaker &&
    same(a.calls, b.calls) &&
    same(a.turn, b.turn) &&
    left.actions === right.actions &&
    left.busy === right.busy &&
    left.newest === right.newest &&
    same(left.siblings, right.siblings)
  );
}

function Question({ entry, actions, busy, siblings }: Props) {
  const say = useSay();
  const { drawn, index } = entry;
  const [editing, setEditing] = useState(false);
  if (editing) {
    const ask = (text: string) => (setEditing(false), actions.edit(index, text));
    return <Editing text={drawn.text} ask={ask} leave={() => setEditing(false)} />;
  }
  return (
    <article className="message human" aria-label={say("you")}>
      <div className="bubble">{drawn.blocks.map((block, i) => <Asked key={i} block={block} />)}</div>
      <Bar>
        <Switcher siblings={siblings} show={actions.show} />
        <Copy of={() => drawn.text} />
        {index >= 0 && (
          <button className="quiet small" disabled={busy} onClick={() => setEditing(true)}>
            {say("edit")}
          </button>
        )}
      </Bar>
    </article>
  );
}

function Editing({ text, ask, leave }: { text: string; ask: (text: string) => void; leave: () => void }) {
  const say = useSay();
  const [draft, setDraft] = useState(text);
  return (
    <form
      className="message human editing"
      onSubmit={(event) => {
        event.preventDefault();
        if (draft.trim()) ask(draft);
      }}
    >
      <textarea
        aria-label={say("editQuestion")}
        ref={focus}
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && leave()}
      />
      <Bar>
        <button type="button" onClick={leave}>{say("cancel")}</button>
        <button className="primary">{say("askThis")}</button>
      </Bar>
    </form>
  );
}

function Answer({ entry, actions, busy, newest, siblings }: Props) {
  const say = useSay();
  const { drawn, calls, turn, speaker, index } = entry;
  const regenerate = index >= 0 && !busy ? () => actions.regenerate(index) : null;
  const { route } = drawn;
  const offline = turn !== null && route?.mode === "offline";
  return (
    <article
      className={`message ai${offline ? " is-offline" : ""}${drawn.stored || drawn.open ? "" : " aside"}`}
      aria-label={speaker ?? route?.model ?? drawn.model ?? say("model")}
      aria-busy={drawn.open}
    >
      {speaker && <p className="speaker">{speaker}</p>}
      {offline && route && <Offline route={route} newest={newest} again={regenerate} />}
      {drawn.blocks.map((block, i) => (
        <Shown key={i} block={block} open={drawn.open} />
      ))}
      {calls.length > 0 && (
        <div className="tools">
          {calls.map((call, i) => (
            <ToolCard key={call.id || i} call={call} />
          ))}
        </div>
      )}
      {turn && <AnswerLine drawn={drawn} turn={turn} />}
      {(turn || siblings) && (
        <Bar>
          <Switcher siblings={siblings} show={actions.show} />
          {turn && drawn.text && <Copy of={() => drawn.text} />}
          {turn && index >= 0 && (
            <button className="quiet small" disabled={!regenerate} onClick={() => regenerate?.()}>
              {say("regenerate")}
            </button>
          )}
        </Bar>
      )}
    </article>
  );
}

/** A message of the system, or the answer of a tool whose call is not there. */
function Other({ entry: { drawn } }: Props) {
  return (
    <details className="message other">
      <summary className="faint">{drawn.role}</summary>
      <pre tabIndex={0}>{drawn.text}</pre>
    </details>
  );
}

/** A question is shown as it was written. */
const Asked = ({ block }: { block: Block }) =>
  block.type === "text" ? <p className="plain">{block.text}</p> : <Shown block={block} open={false} />;

function Shown({ block, open }: { block: Block; open: boolean }) {
  const say = useSay();
  switch (block.type) {
    case "text":
      return <Markdown text={block.text} open={open} />;
    case "reasoning":
      return (
        <details className="thoughts">
          <summary className="faint">{say("thoughts")}</summary>
          <p className="plain">{block.text}</p>
        </details>
      );
    case "tool_call":
      return null; // it is a card, below
    case "other":
      return <Attachment kind={block.kind} value={block.value} />;
  }
}

function Switcher({ siblings, show }: { siblings: Switch | undefined; show: (leaf: string) => void }) {
  const say = useSay();
  if (!siblings) return null;
  const { leaves, current } = siblings;
  const step = (by: number, key: Key, sign: string) => {
    const leaf = leaves[current + by];
    return (
      <button className="quiet small" aria-label={say(key)} disabled={!leaf} onClick={() => leaf && show(leaf)}>
        {sign}
      </button>
    );
  };
  return (
    <span className="switcher" role="group" aria-label={say("branches")}>
      {step(-1, "branchBefore", "‹")}
      <span>{`${current + 1}/${leaves.length}`}</span>
      {step(1, "branchNext", "›")}
    </span>
  );
}

const Bar = ({ children }: { children: ReactNode }) => <div className="bar">{children}</div>;
