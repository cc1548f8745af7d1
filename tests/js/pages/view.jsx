// What a page of any client shows and offers: the same to a reader, whichever client is below it.

import { createRoot } from "react-dom/client";

export const threadId = new URLSearchParams(location.search).get("thread");
export const apiUrl = location.origin;
export const assistantId = "gated";

export function View({ busy, error, said, calls, question, send, answer }) {
  const submit = (event) => {
    event.preventDefault();
    const { message } = event.currentTarget.elements;
    send(message.value);
    message.value = "";
  };
  return (
    <main aria-busy={busy}>
      <ol aria-label="Messages">
        {said.map((text, place) => (
          <li key={place}>{text.trim()}</li>
        ))}
      </ol>
      <ul aria-label="Tools">
        {calls.map(({ id, name, args, result }) => (
          <li key={id}>
            {name} {JSON.stringify(args)}: {result ?? "…"}
          </li>
        ))}
      </ul>
      {question !== undefined && <button onClick={() => answer("yes")}>Yes to {JSON.stringify(question)}</button>}
      {error && <p role="alert">{String(error)}</p>}
      <form onSubmit={submit}>
        <input name="message" aria-label="Message" />
        <button>Send</button>
      </form>
    </main>
  );
}

export const show = (element) => createRoot(document.body.appendChild(document.createElement("div"))).render(element);

/** Calls and their results, from LangChain's messages. */
export function callsIn(messages) {
  const results = new Map(messages.filter(({ type }) => type === "tool").map((each) => [each.tool_call_id, each.content]));
  return messages
    .flatMap(({ tool_calls }) => tool_calls ?? [])
    .map(({ id, name, args }) => ({ id, name, args, result: results.get(id) }));
}

/** What people and models said, without calls and results. */
export const textsIn = (messages) =>
  messages.filter(({ type }) => type !== "tool").map(({ content, text }) => text ?? content).filter(Boolean);
