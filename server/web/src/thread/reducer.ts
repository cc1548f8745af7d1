/** One pure function from what is known of a thread and an event to what is drawn. */

import type { Interrupt, LifecycleData, Message, ProtocolEvent } from "../protocol";
import { kept, same } from "./same";
import type { Extra, StoredState, ThreadState } from "./state";
import { closed, restarted, streamed } from "./streaming";
import { toolSaid } from "./tool-events";
import { type Said, customSaid } from "./said";

export const reduceAll = (state: ThreadState, events: readonly ProtocolEvent[]): ThreadState =>
  events.reduce(reduce, state);

export function reduce(state: ThreadState, event: ProtocolEvent): ThreadState {
  switch (event.method) {
    case "lifecycle":
      return event.namespace.length ? state : lifecycle(state, event.data, event.run, event.timestamp);
    case "messages":
      return streamed(state, event.data, event.namespace, event.timestamp);
    case "tools":
      return toolSaid(state, event.data, event.timestamp);
    case "values":
      return event.namespace.length ? state : values(state, event.data);
    case "checkpoints":
      return event.namespace.length ? state : { ...state, checkpoint: event.data.id };
    case "custom":
      return customSaid(state, event.data as Said, event.seq);
    case "input.requested":
      return requested(state, askedBy(event.data));
    case "input.answered":
      return without(state, event.data.interrupt_ids);
    default:
      return state;
  }
}

/** Whether a stored state is newer than the newest run: somebody has edited it since. Ids grow with time. */
export const isNewer = ({ phase, checkpoint }: ThreadState, stored: StoredState): boolean =>
  phase !== "busy" && checkpoint !== null && (stored.checkpoint_id ?? "") > checkpoint;

/** Take the state that is stored. What the stream has told is newer, unless `anew` says otherwise. */
export function opened(state: ThreadState, stored: StoredState, status: string, anew = false): ThreadState {
  if (waitsUnknown(state) && stored.interrupts?.length) return { ...state, interrupts: stored.interrupts };
  if (state.seen && !anew) return state;
  const next = values(state, stored.values ?? {});
  if (state.run && !anew) return next;
  const interrupts = stored.interrupts ?? [];
  const phase = status === "busy" ? "busy" : interrupts.length ? "waiting" : status === "error" ? "failed" : "idle";
  return { ...next, interrupts, phase, checkpoint: stored.checkpoint_id ?? null, seen: anew };
}

function lifecycle(state: ThreadState, data: LifecycleData, run: string | null, at: number): ThreadState {
  if (data.event === "running") return begun(state, run ?? "", at);
  if (data.event === "started") return state;
  const ended = state.run && { ...state.run, ended: at };
  const done = closed({ ...state, run: ended });
  if (data.event === "interrupted") return { ...done, phase: "waiting" };
  if (data.event === "failed") return leftAsItWas(failed(done, data.error ?? ""), data.error ?? "");
  return { ...done, phase: "idle" };
}

/** A run begins, or begins anew after its process has died. */
function begun(state: ThreadState, id: string, at: number): ThreadState {
  const answered = state.run?.id === id ? state.answered : state.interrupts;
  const next: ThreadState = { ...state, phase: "busy", interrupts: [], answered, tried: [] };
  if (state.run?.id === id) return restarted(next);
  return { ...next, run: { id, started: at, ended: null }, asked: [], memories: [] };
}

/** A run whose answer did not fit changes nothing: what waited before it still waits. */
function leftAsItWas(state: ThreadState, error: string): ThreadState {
  if (!error.startsWith("InvalidAnswer:")) return state;
  return { ...state, phase: "waiting", interrupts: state.answered };
}

/** Whether something waits that was not told: the events of the run that asked are not sent again. */
const waitsUnknown = (state: ThreadState) => state.phase === "waiting" && state.interrupts.length === 0;

function failed(state: ThreadState, error: string): ThreadState {
  const here = new Set(state.stored.map((message) => message.id));
  const after = state.stored.at(-1)?.id ?? null;
  const run = state.run?.id ?? "";
  const gone = state.asked.filter((message) => !here.has(message.id));
  const questions = gone.map((message): Extra => ({ kind: "unanswered", id: `unanswered-${message.id}`, message, after }));
  const failure: Extra = { kind: "failure", id: `failure-${run}`, error, after };
  // What was shown below a question that is gone is shown below what is left of it.
  const lost = (extra: Extra) => gone.some((message) => message.id === extra.after);
  const others = state.extras.filter((extra) => !lost(extra));
  const moved = state.extras.filter(lost).map((extra) => ({ ...extra, after }));
  return { ...state, phase: "failed", extras: [...others, ...questions, ...moved, failure] };
}

function values(state: ThreadState, data: Record<string, unknown>): ThreadState {
  const { messages, route, ...others } = typeof data === "object" && data ? data : {};
  const all = Array.isArray(messages) ? messages.filter(isMessage) : [];
  const taken = new Set(state.extras.filter((extra) => extra.kind === "taken").map((extra) => extra.id));
  // A message that is taken back is there once more, empty, for clients that drop it by that.
  const stored = kept(state.stored, all.filter((message) => !taken.has(`taken-${message.id}`)));
  const ids = new Set(stored.map((message) => message.id));
  const extras = state.extras.filter((extra) => extra.kind !== "streamed" || !ids.has(extra.id));
  const busy = state.phase === "busy";
  const known = new Set([...state.stored, ...state.asked].map((message) => message.id));
  const news = busy ? stored.filter((message) => message.type === "human" && !known.has(message.id)) : [];
  const tried = (route as { tried?: ThreadState["tried"] } | undefined)?.tried;
  return {
    ...state,
    stored,
    extras: extras.length === state.extras.length ? state.extras : extras,
    channels: same(others, state.channels) ? state.channels : others,
    asked: news.length ? [...state.asked, ...news] : state.asked,
    tried: tried ?? state.tried,
    seen: true,
  };
}

/** A graph of the user's may keep anything in a channel of this name. */
function isMessage(each: unknown): each is Message {
  if (typeof each !== "object" || !each) return false;
  const { type, content, tool_calls: calls } = each as Record<string, unknown>;
  const hasContent = content == null || typeof content === "string" || Array.isArray(content);
  return typeof type === "string" && hasContent && (calls == null || Array.isArray(calls));
}

const askedBy = ({ interrupt_id, payload, response_schema }: Asked): Interrupt => ({
  id: interrupt_id,
  value: payload,
  ...(response_schema && { response_schema }),
});

type Asked = { interrupt_id: string; payload: unknown; response_schema?: Record<string, unknown> };

function requested(state: ThreadState, interrupt: Interrupt): ThreadState {
  if (state.interrupts.some((each) => each.id === interrupt.id)) return state;
  return { ...state, interrupts: [...state.interrupts, interrupt] };
}

/** Leave out interrupts that somebody has answered. */
export function without(state: ThreadState, ids: readonly string[]): ThreadState {
  return { ...state, interrupts: state.interrupts.filter((each) => !ids.includes(each.id)) };
}
