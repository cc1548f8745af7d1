/** One call that waits: what it would do, and what is chosen for it. */

import { useId } from "react";

import { type JSONSchema, SchemaForm, fitsSchema } from "../forms/schema-form";
import { focus } from "../focus";
import { useSay } from "../language";
import type { Choice, Kind, Request } from "./decisions";

const NAMES = { approve: "approve", edit: "editCall", reject: "reject" } as const;
const MAX_REASON = 4000; // characters that the service takes

interface Props {
  request: Request;
  schema: JSONSchema | null;
  allowed: Kind[];
  choice: Choice;
  disabled: boolean;
  onChoice: (choice: Choice) => void;
}

export function ApprovalCall({ request, schema, allowed, choice, disabled, onChoice }: Props) {
  const say = useSay();
  const id = useId();
  const choose = (kind: Kind) => {
    const next = choice.kind === kind ? null : kind;
    const valid = next !== "edit" || fitsSchema(schema, choice.args);
    onChoice({ ...choice, kind: next, valid });
  };
  return (
    <div className="call" role="group" aria-labelledby={`${id}-name`}>
      <h3 id={`${id}-name`}><code>{request.name}</code></h3>
      {request.description && (
        <details>
          <summary>{say("whatItDoes")}</summary>
          <p className="faint">{request.description}</p>
        </details>
      )}
      {choice.kind === "edit" ? (
        <SchemaForm
          schema={schema}
          value={choice.args}
          label={say("argumentsOf", { name: request.name })}
          onChange={(args, valid) => onChoice({ ...choice, args, valid })}
        />
      ) : (
        <Arguments args={request.args} />
      )}
      <div className="kinds" role="group" aria-label={say("decisionOn", { name: request.name })}>
        {allowed.map((kind) => (
          <button key={kind} className={kind} aria-pressed={choice.kind === kind} disabled={disabled} onClick={() => choose(kind)}>
            {say(NAMES[kind])}
          </button>
        ))}
      </div>
      {choice.kind === "reject" && (
        <div className="field">
          <label htmlFor={`${id}-reason`}>{say("reason")}</label>
          <textarea
            id={`${id}-reason`}
            rows={2}
            maxLength={MAX_REASON}
            ref={focus}
            value={choice.reason}
            disabled={disabled}
            onChange={(event) => onChoice({ ...choice, reason: event.target.value })}
          />
        </div>
      )}
    </div>
  );
}

function Arguments({ args }: { args: Record<string, unknown> }) {
  const say = useSay();
  const entries = Object.entries(args);
  if (entries.length === 0) return <p className="faint">{say("noFields")}</p>;
  return (
    <dl className="arguments">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd><code>{typeof value === "string" ? value : JSON.stringify(value)}</code></dd>
        </div>
      ))}
    </dl>
  );
}
