// assistant-ui's runtime over @langchain/react: `useStreamRuntime`, over the event protocol.

import {
  useLangChainError,
  useLangChainInterruptState,
  useLangChainRespond,
  useStreamRuntime,
} from "@assistant-ui/react-langchain";
import { useEffect } from "react";
import { Assistant, Thread, threads } from "./assistant.jsx";
import { apiUrl, assistantId, show, threadId } from "./view.jsx";

function Shown({ runtime }) {
  const answer = useLangChainRespond();
  const question = useLangChainInterruptState();
  return (
    <Thread
      runtime={runtime}
      error={useLangChainError()}
      question={question?.value}
      answer={(said) => void answer(said, { interruptId: question.id })}
    />
  );
}

function Chat() {
  const runtime = useStreamRuntime({ apiUrl, assistantId, unstable_threadListAdapter: threads });
  useEffect(() => void runtime.threads.switchToThread(threadId), [runtime]);
  return (
    <Assistant runtime={runtime}>
      <Shown runtime={runtime} />
    </Assistant>
  );
}

show(<Chat />);
