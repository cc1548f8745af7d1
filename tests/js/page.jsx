// A page of a chat on one thread; its address says which, and by which transport.

import { useStream } from "@langchain/react";
import { createRoot } from "react-dom/client";

const { thread: threadId, transport } = Object.fromEntries(new URLSearchParams(location.search));
window.seen = [];

function Chat() {
  const stream = useStream({ apiUrl: location.origin, assistantId: "gated", threadId, transport });
  const said = stream.messages.map((each) => each.text.trim());
  window.stream = stream;
  window.seen.push(said);
  const state = stream.error ?? (stream.isLoading || stream.isThreadLoading ? "busy" : "idle");
  return (
    <main title={String(state)}>
      {said.map((text, place) => (
        <p key={place}>{text}</p>
      ))}
    </main>
  );
}

createRoot(document.body).render(<Chat />);
