// `useStream` of @langchain/react, over the event protocol.

import { useStream } from "@langchain/react";
import { View, apiUrl, assistantId, callsIn, show, textsIn, threadId } from "./view.jsx";

function Chat() {
  const stream = useStream({ apiUrl, assistantId, threadId });
  return (
    <View
      busy={stream.isLoading || stream.isThreadLoading}
      error={stream.error}
      said={textsIn(stream.messages)}
      calls={callsIn(stream.messages)}
      question={stream.interrupt?.value}
      send={(content) => void stream.submit({ messages: [{ type: "human", content }] })}
      // Without its id an answer is refused by the client until its stream, too, has told of the question.
      answer={(said) => void stream.respond(said, { interruptId: stream.interrupt.id })}
    />
  );
}

show(<Chat />);
