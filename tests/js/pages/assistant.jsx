// What assistant-ui's runtimes have in common: its messages, as the view shows them.

import { AssistantRuntimeProvider, useAuiState } from "@assistant-ui/react";
import { View, threadId } from "./view.jsx";

/** One thread, the one of the address. */
const here = { remoteId: threadId, externalId: threadId, status: "regular" };
export const threads = {
  list: async () => ({ threads: [here] }),
  fetch: async () => here,
  initialize: async () => here,
  rename: async () => {},
  archive: async () => {},
  unarchive: async () => {},
  delete: async () => {},
  generateTitle: async () => new ReadableStream({ start: (controller) => controller.close() }),
};

export function Assistant({ runtime, children }) {
  return <AssistantRuntimeProvider runtime={runtime}>{children}</AssistantRuntimeProvider>;
}

export function Thread({ runtime, error, question, answer }) {
  const { messages, isRunning, isLoading } = useAuiState(({ thread }) => thread);
  const parts = messages.map(({ content }) => content);
  const calls = parts.flat().filter(({ type }) => type === "tool-call");
  const texts = parts.map((each) => each.map(({ type, text }) => (type === "text" ? text : "")).join(""));
  return (
    <View
      busy={isRunning || isLoading}
      error={error}
      said={texts.filter(Boolean)}
      calls={calls.map(({ toolCallId, toolName, args, result }) => ({ id: toolCallId, name: toolName, args, result }))}
      question={question}
      send={(text) => runtime.thread.append({ role: "user", content: [{ type: "text", text }] })}
      answer={answer}
    />
  );
}
