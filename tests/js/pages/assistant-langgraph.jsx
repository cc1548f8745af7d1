// assistant-ui's runtime for LangGraph's server: `useLangGraphRuntime`, over the runs' own streams.

import {
  unstable_createLangGraphStream,
  useLangGraphInterruptState,
  useLangGraphRuntime,
  useLangGraphSendCommand,
} from "@assistant-ui/react-langgraph";
import { Client } from "sdk-v1";
import { Assistant, Thread } from "./assistant.jsx";
import { apiUrl, assistantId, show, threadId } from "./view.jsx";

const client = new Client({ apiUrl, apiKey: null });
const stream = unstable_createLangGraphStream({ client, assistantId, onDisconnect: "continue" });

async function load(id) {
  const { values, tasks } = await client.threads.getState(id);
  return { messages: values.messages ?? [], interrupts: tasks.flatMap(({ interrupts }) => interrupts) };
}

/** One thread, the one of the address. */
const here = { remoteId: threadId, externalId: threadId, status: "regular" };
const threads = {
  list: async () => ({ threads: [here] }),
  fetch: async () => here,
  initialize: async () => here,
  rename: async () => {},
  archive: async () => {},
  unarchive: async () => {},
  delete: async () => {},
  generateTitle: async () => new ReadableStream({ start: (controller) => controller.close() }),
};

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
