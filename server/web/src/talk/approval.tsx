/** Tool calls that wait for a person: approve them, change their arguments, or reject them. */

import { useState } from "react";

import { useSay } from "../language";
import type { Interrupt } from "../protocol";
import { ApprovalCall } from "./approval-call";
import { respond, useRefusal } from "./answer";
import { type Choice, type Request, allowedFor, decisionsOf, isDecided, requestsOf, undecided } from "./decisions";
import { useDraft } from "./drafts";
import { useToolSchemas } from "./tool-schemas";

interface Props {
  threadId: string;
  interrupt: Interrupt;
  /** The calls; by themselves what the interrupt asks for. */
  calls?: Request[];
  onAnswered?: (() => void) | undefined;
}

export function Approval({ threadId, interrupt, calls, onAnswered }: Props) {
  const say = useSay();
  const schemas = useToolSchemas();
  const requests = calls ?? requestsOf(interrupt) ?? [];
  const [choices, setChoices] = useDraft<Choice[]>(interrupt.id, () => requests.map(undecided));
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState("");
  const refusal = useRefusal(interrupt.id);
  const several = requests.length > 1;

  const send = (decided: Choice[]) => {
    setChoices(decided);
    setSending(true);
    setProblem("");
    respond(threadId, interrupt, { decisions: decisionsOf(requests, decided) })
      .then(onAnswered, (error: Error) => setProblem(error.message))
      .finally(() => setSending(false));
  };
  const chosen = (at: number, choice: Choice) => {
    const next = choices.map((each, index) => (index === at ? choice : each));
    // One call that is approved needs no second click.
    if (!several && choice.kind === "approve") send(next);
    else setChoices(next);
  };
  const approved = requests.map((request) => ({ ...undecided(request), kind: "approve" as const }));
  const canAll = requests.every((each) => allowedFor(interrupt, each.name).includes("approve"));
  const ready = choices.every(isDecided);
  const failed = problem || refusal;

  return (
    <section className="waits" aria-label={say("approvalTitle")}>
      <h2>{several ? say("approvalCount", { count: requests.length }) : say("approvalTitle")}</h2>
      {requests.map((request, at) => (
        <ApprovalCall
          key={request.id ?? at}
          request={request}
          schema={schemas[request.name] ?? null}
          allowed={allowedFor(interrupt, request.name)}
          choice={choices[at] ?? undecided(request)}
          disabled={sending}
          onChoice={(choice) => chosen(at, choice)}
        />
      ))}
      {failed && <p className="bad" role="alert">{say("notTaken", { why: failed })}</p>}
      <div className="actions">
        {several && canAll && <button className="primary" disabled={sending} onClick={() => send(approved)}>{say("approveAll")}</button>}
        {(several || ready) && (
          <button className={several ? "" : "primary"} disabled={sending || !ready} onClick={() => send(choices)}>
            {say(several ? "sendDecisions" : choices[0]?.kind === "reject" ? "sendRejection" : choices[0]?.kind === "edit" ? "sendEdited" : "sendAgain")}
          </button>
        )}
      </div>
    </section>
  );
}
