// assistant-ui's runtime for LangGraph's server: `useLangGraphRuntime`, over the runs' own streams.

import {
  unstable_createLangGraphStream,
  useLangGraphInterruptState,
  useLangGraphRuntime,
  useLangGraphSendCommand,
} from "@assistant-ui/react-langgraph";
import { Client } from "sdk-v1";
import { Assistant, Thread, threads } from "./assistant.jsx";
import { apiUrl, assistantId, show, threadId } from "./view.jsx";

const client = new Client({ apiUrl, apiKey: null });
const stream = unstable_createLangGraphStream({ client, assistantId, onDisconnect: "continue" });

async function load(id) {
  const { values, tasks } = await client.threads.getState(id);
  return { messages: values.messages ?? [], interrupts: tasks.flatMap(({ interrupts }) => interrupts) };
}

function Shown({ runtime }) {
  const question = useLangGraphInterruptState();
  const answer = useLangGraphSendCommand();
  return <Thread runtime={runtime} question={question?.value} answer={(resume) => void answer({ resume })} />;
}

function Chat() {
  const runtime = useLangGraphRuntime({ threadId, unstable_threadListAdapter: threads, stream, load });
  return (
    <Assistant runtime={runtime}>
      <Shown runtime={runtime} />
    </Assistant>
  );
}

show(<Chat />);
