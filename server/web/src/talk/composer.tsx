/** Where the reader writes, and chooses who answers. */

import { type KeyboardEvent, useEffect, useRef, useState } from "react";

import { type JSONSchema, SchemaForm } from "../forms/schema-form";
import { useSay } from "../language";
import type { Phase } from "../thread/state";
import { Choices } from "./choices";
import { useOwnInput } from "./own-input";

/** A message; or, to a graph that takes none, its input. */
export type Said = string | { input: unknown };

interface Props {
  threadId: string | null;
  phase: Phase;
  send: (said: Said) => Promise<void>;
  stop: (rollback: boolean) => void;
}

/** What was written and not sent, by thread. */
const drafts = new Map<string | null, string>();

export function Composer({ threadId, phase, send, stop }: Props) {
  const say = useSay();
  const [text, setText] = useState(drafts.get(threadId) ?? "");
  const field = useRef<HTMLTextAreaElement>(null);
  const busy = phase === "busy";
  const schema = useOwnInput();
  const [input, setInput] = useState<{ of: JSONSchema; value: unknown; valid: boolean } | null>(null);
  const filled = schema && input?.of === schema ? input : null;
  const canSend = schema ? filled?.valid === true : text.trim() !== "";

  useEffect(() => {
    setText(drafts.get(threadId) ?? "");
    // On a phone the keyboard would cover the thread.
    if (matchMedia("(pointer: fine)").matches) field.current?.focus({ preventScroll: true });
  }, [threadId]);

  const write = (next: string) => {
    drafts.set(threadId, next);
    setText(next);
  };

  const submit = () => {
    if (!canSend) return;
    if (schema) return void send({ input: filled?.value }).catch(() => undefined);
    const said = text.trim();
    if (!said) return;
    write("");
    send(said).catch(() => write(said)); // it was not sent: it is still there to be sent
    field.current?.focus();
  };

  const pressed = (event: KeyboardEvent) => {
    // Enter also ends a syllable that is being composed, as in Korean.
    const composing = event.nativeEvent.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    submit();
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {schema ? (
        <SchemaForm schema={schema} value={filled?.value} label={say("composerInput")} onChange={(value, valid) => setInput({ of: schema, value, valid })} />
      ) : (
        <textarea
          ref={field}
          aria-label={say("composerLabel")}
          placeholder={say("composerHint")}
          rows={2}
          value={text}
          onChange={(event) => write(event.target.value)}
          onKeyDown={pressed}
        />
      )}
      <div className="controls">
        <Choices />
        <span className="buttons">
          {busy && <button type="button" onClick={() => stop(true)}>{say("stopBack")}</button>}
          {busy && <button type="button" className="stop" onClick={() => stop(false)}>{say("stop")}</button>}
          <button className="primary" disabled={!canSend}>{say(busy ? "queueIt" : "send")}</button>
        </span>
      </div>
    </form>
  );
}
