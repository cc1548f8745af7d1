// assistant-ui's runtime over @langchain/react: `useStreamRuntime`, over the event protocol.

import {
  useLangChainError,
  useLangChainInterruptState,
  useLangChainRespond,
  useStreamRuntime,
} from "@assistant-ui/react-langchain";
import { Assistant, Thread } from "./assistant.jsx";
import { apiUrl, assistantId, show, threadId } from "./view.jsx";

function Shown({ runtime }) {
  const answer = useLangChainRespond();
  return (
    <Thread
      runtime={runtime}
      error={useLangChainError()}
      question={useLangChainInterruptState()?.value}
      answer={(said) => void answer(said)}
    />
  );
}

function Chat() {
  const runtime = useStreamRuntime({ apiUrl, assistantId, threadId });
  return (
    <Assistant runtime={runtime}>
      <Shown runtime={runtime} />
    </Assistant>
  );
}

show(<Chat />);
