/** Messages as they come: blocks begin, grow and end, or are taken back. */

import type { BlockDelta, ContentBlock, MessageData } from "../protocol";
import type { Block, Extra, Streamed, ThreadState } from "./state";

type Open = Streamed & { after: string | null };

export function streamed(
  state: ThreadState,
  data: MessageData,
  namespace: string[],
  at: number,
): ThreadState {
  if (data.event === "message-start") return start(state, data, namespace, at);
  const id = data.message_id ?? "";
  const index = state.extras.findIndex((extra) => extra.kind === "streamed" && extra.id === id);
  const open = state.extras[index] as Open | undefined;
  if (!open) return data.event === "message-finish" ? ended(state, id, at) : state;
  switch (data.event) {
    case "content-block-start":
      return put(state, index, withBlock(open, data.index, empty(data.content)));
    case "content-block-delta":
      return grown(state, index, open, data.index, data.delta, at);
    case "content-block-finish":
      return put(state, index, withBlock(open, data.index, whole(data.content)));
    case "message-finish": {
      const model = named(data.metadata) ?? open.model;
      const done = { ...open, model, usage: data.usage ?? null, done: true };
      return ended(put(state, index, done), id, at);
    }
    case "error":
      return put(state, index, taken(open, data.message ?? "", data.code === "reset"));
  }
}

/** At the end of a run nothing is open any more. */
export function closed(state: ThreadState): ThreadState {
  const extras = state.extras.map((extra) => (extra.kind === "streamed" && !extra.done ? { ...extra, done: true } : extra));
  return { ...state, extras };
}

/** The run has begun anew: its calls of tools are made again, or their answers are stored. */
export function restarted(state: ThreadState): ThreadState {
  const running = Object.entries(state.calls).filter(([, call]) => call.phase !== "running");
  return { ...state, calls: Object.fromEntries(running) };
}

function start(
  state: ThreadState,
  data: Extract<MessageData, { event: "message-start" }>,
  namespace: string[],
  at: number,
): ThreadState {
  const known = state.stored.some((message) => message.id === data.id);
  const rest = state.extras.filter((extra) => extra.id !== data.id);
  if (known || data.role === "human" || data.role === "system") return state;
  const open: Extra = {
    kind: "streamed",
    id: data.id,
    role: data.role,
    node: typeof data.metadata?.langgraph_node === "string" ? data.metadata.langgraph_node : null,
    namespace,
    model: null,
    usage: null,
    blocks: [],
    done: false,
    after: state.stored.at(-1)?.id ?? null,
  };
  const times = { run: state.run?.started ?? at, first: null, end: null };
  return { ...state, extras: [...rest, open], times: { ...state.times, [data.id]: times } };
}

function grown(state: ThreadState, index: number, open: Open, at: number, delta: BlockDelta, now: number): ThreadState {
  const block = open.blocks[at];
  if (!block || block.type === "other") return state;
  const more = delta.text ?? delta.reasoning ?? delta.args ?? "";
  const next = put(state, index, withBlock(open, at, { ...block, text: block.text + more }));
  const times = state.times[open.id];
  if (!times || times.first !== null || block.type !== "text" || !more) return next;
  return { ...next, times: { ...next.times, [open.id]: { ...times, first: now } } };
}

function ended(state: ThreadState, id: string, at: number): ThreadState {
  const times = state.times[id];
  if (!times || times.end !== null) return state;
  return { ...state, times: { ...state.times, [id]: { ...times, end: at } } };
}

function taken(open: Open, message: string, reset: boolean): Extra {
  const text = textOf(open.blocks);
  const calls = open.blocks.filter((block) => block.type === "tool_call").length;
  const reason = reset ? message.replace(/^Taken back: /, "") : message;
  return { kind: "taken", id: `taken-${open.id}`, text, calls, model: open.model, reason, after: open.after };
}

function put(state: ThreadState, index: number, extra: Extra): ThreadState {
  const extras = state.extras.slice();
  extras[index] = extra;
  return { ...state, extras };
}

function withBlock(open: Open, index: number, block: Block): Open {
  const blocks = open.blocks.slice();
  blocks[index] = block;
  return { ...open, blocks };
}

function empty(content: ContentBlock): Block {
  const block = whole(content);
  return block.type === "tool_call" ? { ...block, whole: false } : block;
}

/** A block as the protocol has it, as one that is drawn. */
export function whole(content: ContentBlock): Block {
  const { type } = content;
  if (type === "text") return { type, text: content.text ?? "" };
  if (type === "reasoning") return { type, text: String(content.reasoning ?? "") };
  if (/tool_call/.test(type)) {
    const { args } = content;
    const text = typeof args === "string" ? args : JSON.stringify(args ?? {});
    const wrong = type === "invalid_tool_call" ? String(content.error ?? "") : null;
    const id = String(content.id ?? "");
    return { type: "tool_call", id, name: String(content.name ?? ""), text, args, whole: true, wrong };
  }
  return { type: "other", kind: type, value: content };
}

export const textOf = (blocks: readonly (Block | undefined)[]): string =>
  blocks.map((block) => (block?.type === "text" ? block.text : "")).join("");

const named = (metadata: Record<string, unknown> | undefined): string | null =>
  typeof metadata?.model_name === "string" ? metadata.model_name : null;
