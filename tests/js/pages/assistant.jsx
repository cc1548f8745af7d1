// What assistant-ui's runtimes have in common: its messages, as the view shows them.

import { AssistantRuntimeProvider, useAuiState } from "@assistant-ui/react";
import { View } from "./view.jsx";

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
