// `useStream` of @langchain/langgraph-sdk, over the runs' own streams, as agent-chat-ui uses it.

import { useStream } from "sdk-v1/react";
import { View, apiUrl, assistantId, callsIn, show, textsIn, threadId } from "./view.jsx";

const OPTIONS = { streamResumable: true, onDisconnect: "continue" };

function Chat() {
  const stream = useStream({ apiUrl, assistantId, threadId, reconnectOnMount: true, fetchStateHistory: true });
  return (
    <View
      busy={stream.isLoading || stream.isThreadLoading}
      error={stream.error}
      said={textsIn(stream.messages)}
      calls={callsIn(stream.messages)}
      question={stream.interrupt?.value}
      send={(content) => void stream.submit({ messages: [{ type: "human", content }] }, OPTIONS)}
      answer={(resume) => void stream.submit(undefined, { ...OPTIONS, command: { resume } })}
    />
  );
}

show(<Chat />);
