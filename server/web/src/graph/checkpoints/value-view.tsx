/** A value of a state, as it is read: messages as messages, the rest as JSON. */

import { useSay } from "../../language";
import type { Message } from "../../protocol";
import { type Values, isMessage } from "./difference";

const LONGEST = 4_000;

export function ValueView({ value }: { value: unknown }) {
  if (isMessage(value)) return <MessageView message={value} />;
  if (Array.isArray(value) && value.length && value.every(isMessage)) {
    return <ol className="state-messages">{value.map((each) => <li key={each.id}><MessageView message={each} /></li>)}</ol>;
  }
  const text = typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "–");
  const isLong = text.length > LONGEST;
  return <pre className="state-value" tabIndex={text.length > 200 ? 0 : undefined}>{isLong ? `${text.slice(0, LONGEST)} …` : text}</pre>;
}

export function textOf({ content }: Message): string {
  if (typeof content === "string") return content;
  return content.map(({ type, text }) => text ?? `[${type}]`).join("");
}

const TYPES = { human: "graphHuman", ai: "graphAi", tool: "graphTool", system: "graphSystem" } as const;

export function MessageView({ message }: { message: Message }) {
  const say = useSay();
  const { type, name, tool_calls: calls } = message;
  const text = textOf(message);
  return (
    <div className={`state-message ${type}`}>
      <span className="faint">{type in TYPES ? say(TYPES[type as keyof typeof TYPES]) : type}{name ? ` · ${name}` : ""}</span>
      {text && <p>{text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text}</p>}
      {calls?.map((call, index) => <pre key={call.id ?? index}>{call.name}({JSON.stringify(call.args)})</pre>)}
    </div>
  );
}

export function StateView({ values }: { values: Values }) {
  const say = useSay();
  const channels = Object.entries(values);
  if (!channels.length) return <p className="faint">{say("graphEmptyState")}</p>;
  return (
    <dl className="state">
      {channels.map(([channel, value]) => (
        <div key={channel}>
          <dt>{channel}</dt>
          <dd><ValueView value={value} /></dd>
        </div>
      ))}
    </dl>
  );
}
