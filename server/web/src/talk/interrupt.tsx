/** What a thread waits for: tool calls to be decided on, or a question of the graph. */

import { useId, useState } from "react";

import { SchemaForm } from "../forms/schema-form";
import { isValid } from "../forms/value";
import { fieldOf } from "../forms/schema";
import { useSay } from "../language";
import type { Interrupt } from "../protocol";
import "../style/waits.css";
import { respond, useRefusal } from "./answer";
import { Approval } from "./approval";
import { useDraft } from "./drafts";
import { answerOf, questionOf, requestsOf, schemaOf } from "./decisions";

interface Props {
  threadId: string;
  interrupt: Interrupt;
  onAnswered?: () => void;
}

export function InterruptCard({ threadId, interrupt, onAnswered }: Props) {
  const requests = requestsOf(interrupt);
  if (requests) return <Approval threadId={threadId} interrupt={interrupt} calls={requests} onAnswered={onAnswered} />;
  return <Question threadId={threadId} interrupt={interrupt} onAnswered={onAnswered} />;
}

function Question({ threadId, interrupt, onAnswered }: { threadId: string; interrupt: Interrupt; onAnswered: (() => void) | undefined }) {
  const say = useSay();
  const schema = schemaOf(interrupt);
  const { text, rest } = questionOf(interrupt.value);
  const [answer, setAnswer] = useDraft<unknown>(`${interrupt.id} answer`, () => undefined);
  const [valid, setValid] = useState(() => schema !== null && isValid(fieldOf(schema), answer));
  const [typed, setTyped] = useDraft(`${interrupt.id} typed`, () => "");
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState("");
  const refusal = useRefusal(interrupt.id);
  const failed = problem || refusal;

  const send = () => {
    setSending(true);
    setProblem("");
    respond(threadId, interrupt, schema ? answer : answerOf(typed))
      .then(onAnswered, (error: Error) => setProblem(error.message))
      .finally(() => setSending(false));
  };
  return (
    <section className="waits" aria-label={say("questionTitle")}>
      <h2>{say("questionTitle")}</h2>
      {text && <p className="question">{text}</p>}
      {rest !== undefined && <pre>{JSON.stringify(rest, null, 2)}</pre>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        {schema ? (
          <SchemaForm
            schema={schema}
            value={answer}
            label={say("answer")}
            onChange={(next, fits) => {
              setAnswer(next);
              setValid(fits);
            }}
          />
        ) : (
          <PlainAnswer value={typed} onChange={setTyped} />
        )}
        {failed && <p className="bad" role="alert">{say("notTaken", { why: failed })}</p>}
        <div className="actions">
          <button className="primary" disabled={sending || (schema !== null && !valid)}>{say("answer")}</button>
        </div>
      </form>
    </section>
  );
}

function PlainAnswer({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const say = useSay();
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{say("yourAnswer")}</label>
      <textarea id={id} rows={2} aria-describedby={`${id}-hint`} value={value} onChange={(event) => onChange(event.target.value)} />
      <p className="faint" id={`${id}-hint`}>{say("yourAnswerHint")}</p>
    </div>
  );
}
