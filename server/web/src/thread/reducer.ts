/** One pure function from what is known of a thread and an event to what is drawn. */

import type { Interrupt, LifecycleData, Message, ProtocolEvent } from "../protocol";
import { kept, same } from "./same";
import type { Extra, Run, StoredState, ThreadState } from "./state";
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
      return requested(state, { id: event.data.interrupt_id, value: event.data.payload });
    case "input.answered":
      return without(state, event.data.interrupt_ids);
    default:
      return state;
  }
}

/** Take the state that is stored. What the stream has told is newer, unless `anew` says otherwise. */
export function opened(state: ThreadState, stored: StoredState, status: string, anew = false): ThreadState {
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
  if (data.event === "failed") return failed(done, data.error ?? "");
  return { ...done, phase: "idle" };
}

/** A run begins, or begins anew after its process has died. */
function begun(state: ThreadState, id: string, at: number): ThreadState {
  const next: ThreadState = { ...state, phase: "busy", interrupts: [], tried: [] };
  if (state.run?.id === id) return restarted(next);
  return { ...next, run: beginning(state.run, id, at), asked: [] };
}

const SOON = 1000; // milliseconds in which a run begins that has nothing to wait for

/** When a run began. Its id is a UUID of version 7, which tells when it was made. */
function beginning(before: Run | null, id: string, at: number): Run {
  const made = /^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(id) ? parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : at;
  const waited = before?.ended != null && at - before.ended < SOON;
  const live = waited || at - made < SOON;
  return { id, started: waited ? Math.max(made, before.ended!) : made, ended: null, live };
}

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
  const { messages, route, ...others } = data;
  const all = Array.isArray(messages) ? (messages as Message[]) : [];
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

function requested(state: ThreadState, interrupt: Interrupt): ThreadState {
  if (state.interrupts.some((each) => each.id === interrupt.id)) return state;
  return { ...state, interrupts: [...state.interrupts, interrupt] };
}

/** Leave out interrupts that somebody has answered. */
export function without(state: ThreadState, ids: readonly string[]): ThreadState {
  return { ...state, interrupts: state.interrupts.filter((each) => !ids.includes(each.id)) };
}
