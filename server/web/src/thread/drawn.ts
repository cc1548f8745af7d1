/** A message as it is drawn, whether it is stored or still comes. */

import type { ContentBlock, Message, Usage } from "../protocol";
import type { Block, Route, Streamed } from "./state";
import { textOf, whole } from "./streaming";

export interface Drawn {
  id: string;
  role: "human" | "ai" | "tool" | "system";
  blocks: Block[];
  text: string;
  /** Whether more of it will come. */
  open: boolean;
  stored: boolean;
  /** Who speaks, where several do: the name of the message, or the subgraph that it comes from. */
  speaker: string | null;
  /** The node that streams it. */
  node: string | null;
  model: string | null;
  usage: Usage | null;
  route: Route | null;
  timestamp: string | null;
}

const cache = new WeakMap<Message | Streamed, Drawn>();

/** The same message always becomes the same object: nothing is drawn twice for it. */
export function drawn(message: Message | Streamed): Drawn {
  const known = cache.get(message);
  if (known) return known;
  const made = "kind" in message ? ofStreamed(message) : ofStored(message);
  cache.set(message, made);
  return made;
}

function ofStreamed(message: Streamed): Drawn {
  const blocks = message.blocks.filter(Boolean);
  return {
    id: message.id,
    role: "ai",
    blocks,
    text: textOf(blocks),
    open: !message.done,
    stored: false,
    speaker: message.namespace.length ? nodeOf(message.namespace) : null,
    node: message.node,
    model: message.model,
    usage: message.usage,
    route: null,
    timestamp: null,
  };
}

/** The last part of a subgraph's namespace is `node:id of the task`. */
const nodeOf = (namespace: string[]) => namespace.at(-1)?.split(":")[0] ?? null;

function ofStored(message: Message): Drawn {
  const blocks = blocksOf(message);
  const about = message.response_metadata ?? {};
  const more = message.additional_kwargs ?? {};
  return {
    id: message.id ?? "",
    role: message.type === "remove" ? "system" : message.type,
    blocks,
    text: textOf(blocks),
    open: false,
    stored: true,
    speaker: message.type === "ai" ? (message.name ?? null) : null,
    node: null,
    model: typeof about.model_name === "string" ? about.model_name : null,
    usage: message.usage_metadata ?? null,
    route: (about.route as Route | undefined) ?? null,
    timestamp: typeof more.timestamp === "string" ? more.timestamp : null,
  };
}

function blocksOf(message: Message): Block[] {
  const thoughts = message.additional_kwargs?.reasoning_content;
  const blocks: Block[] = typeof thoughts === "string" && thoughts ? [{ type: "reasoning", text: thoughts }] : [];
  const listed: ContentBlock[] =
    typeof message.content === "string" ? [{ type: "text", text: message.content }] : (message.content ?? []);
  for (const content of listed.filter(Boolean)) {
    const block = typeof content === "string" ? whole({ type: "text", text: content }) : whole(content);
    if (block.type === "tool_call" || (block.type === "text" && !block.text)) continue;
    blocks.push(block);
  }
  for (const call of message.tool_calls ?? []) blocks.push(whole({ ...call, type: "tool_call" }));
  const wrong = (message as { invalid_tool_calls?: ContentBlock[] }).invalid_tool_calls ?? [];
  for (const call of wrong) blocks.push(whole({ ...call, type: "invalid_tool_call" }));
  return blocks;
}
