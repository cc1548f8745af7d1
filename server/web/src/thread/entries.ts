/** The list that is drawn: messages, and between them what happened on the way. */

import type { Message } from "../protocol";
import { type Drawn, drawn } from "./drawn";
import type { Asked, Attempt, Block, Call, Extra, Gap, Taken, ThreadState, Times, Unanswered, Failure } from "./state";
import { failureIn, textOf } from "./tool-events";

export interface CallView {
  id: string;
  name: string;
  text: string;
  args: unknown;
  wrong: string | null;
  phase: "growing" | "called" | "asked" | "running" | "done" | "failed";
  seconds: number | null;
  output: string | null;
  failure: string | null;
  cached: boolean;
  attempt: number;
}

/** What is said in the quiet line below the last message of a turn. */
export interface TurnView {
  tools: number;
  first: number | null;
  total: number | null;
}

export interface MessageEntry {
  kind: "message";
  key: string;
  drawn: Drawn;
  calls: CallView[];
  turn: TurnView | null;
  speaker: string | null;
  /** Where it stands in the thread's state; -1 for what is not there. */
  index: number;
}

export type Entry =
  | MessageEntry
  | (Taken & { key: string })
  | (Asked & { key: string })
  | (Unanswered & { key: string })
  | (Failure & { key: string })
  | (Gap & { key: string });

export function entriesOf(state: ThreadState): Entry[] {
  const below = new Map<string | null, Extra[]>();
  for (const extra of state.extras) {
    const list = below.get(extra.after);
    if (list) list.push(extra);
    else below.set(extra.after, [extra]);
  }
  const results = resultsOf(state.stored);
  const asked = askedFor(state);
  const entries: Entry[] = (below.get(null) ?? []).map((extra) => extraEntry(extra, state, results, asked));
  let told = 0; // attempts that lines above tell of already
  state.stored.forEach((message, index) => {
    if (message.type === "human") told = 0;
    const made = drawn(message);
    const tried = made.route?.tried ?? [];
    if (!state.times[made.id]) entries.push(...linesOf(made, tried, told));
    told = Math.max(told, tried.length);
    if (!isAnswer(message, results.callers)) entries.push(messageEntry(made, state, results, asked, index));
    for (const extra of below.get(message.id) ?? []) entries.push(extraEntry(extra, state, results, asked));
  });
  return withTurns(entries, state.times, state.phase === "busy" || state.phase === "waiting");
}

interface Results {
  byCall: Map<string, Message>;
  /** The ids of calls that a message of the thread has made. */
  callers: Set<string>;
}

function resultsOf(stored: Message[]): Results {
  const byCall = new Map<string, Message>();
  const callers = new Set<string>();
  for (const message of stored) {
    if (message.type === "tool" && message.tool_call_id) byCall.set(message.tool_call_id, message);
    for (const call of message.tool_calls ?? []) if (call.id) callers.add(call.id);
  }
  return { byCall, callers };
}

/** A tool's answer is drawn in the card of its call. */
const isAnswer = (message: Message, callers: Set<string>) =>
  message.type === "tool" && !!message.tool_call_id && callers.has(message.tool_call_id);

/** The calls that wait for a person. */
function askedFor(state: ThreadState): Set<string> {
  const ids = new Set<string>();
  for (const { value } of state.interrupts) {
    const requests = (value as { action_requests?: { id?: string }[] } | null)?.action_requests;
    if (Array.isArray(requests)) for (const { id } of requests) if (id) ids.add(id);
  }
  return ids;
}

function extraEntry(extra: Extra, state: ThreadState, results: Results, asked: Set<string>): Entry {
  if (extra.kind !== "streamed") return { ...extra, key: extra.id };
  return messageEntry(drawn(extra), state, results, asked, -1);
}

function messageEntry(made: Drawn, state: ThreadState, results: Results, asked: Set<string>, index: number): MessageEntry {
  const calls: CallView[] = [];
  for (const block of made.blocks) {
    if (block.type !== "tool_call") continue;
    calls.push(callView(block, state.calls[block.id], results.byCall.get(block.id), asked.has(block.id)));
  }
  const speaker = made.speaker ?? (made.open && several(state.extras) ? made.node : null);
  return { kind: "message", key: made.id, drawn: made, calls, turn: null, speaker, index };
}

/** Whether several nodes speak at once. */
function several(extras: Extra[]): boolean {
  const nodes = extras.map((extra) => (extra.kind === "streamed" && !extra.done ? extra.node : null));
  return new Set(nodes.filter(Boolean)).size > 1;
}

function callView(
  block: Extract<Block, { type: "tool_call" }>,
  live: Call | undefined,
  result: Message | undefined,
  waits: boolean,
): CallView {
  const { id, name, text, args, wrong } = block;
  const more = (result?.additional_kwargs ?? {}) as { cached?: boolean; attempt?: number };
  const failure = result ? failureIn(result) : (live?.failure ?? null);
  const ended = result ? (failure ? "failed" : "done") : null;
  const phase = ended ?? (waits ? "asked" : (live?.phase ?? (block.whole ? "called" : "growing")));
  const seconds = live?.ended != null ? (live.ended - live.started) / 1000 : null;
  const output = result ? textOf(result) : (live?.output ?? null);
  return { id, name, text, args, wrong, phase, seconds, output, failure, cached: more.cached === true, attempt: more.attempt ?? 1 };
}

/** What a stored answer tells of its way, where the events of its run are not known here. */
function linesOf(made: Drawn, tried: Attempt[], told: number): Entry[] {
  return tried.slice(told).map((attempt, i) => {
    const to = tried[told + i + 1]?.model ?? made.route?.model ?? null;
    const kind = to === attempt.model ? "retry" : "fallback";
    const id = `${kind}-${made.id}-${told + i}`;
    const { model: from, failure: reason, seconds = null } = attempt;
    return { kind, id, key: id, from, to, reason, seconds, attempt: told + i + 2 };
  });
}

/** The last message of the model in a turn carries the line about the whole of it. */
function withTurns(entries: Entry[], times: Record<string, Times>, goesOn: boolean): Entry[] {
  let tools = 0;
  let last: MessageEntry | null = null;
  const close = () => {
    if (last) last.turn = turnOf(last, tools, times);
    last = null;
    tools = 0;
  };
  for (const entry of entries) {
    if (entry.kind !== "message") continue;
    if (entry.drawn.role === "human") close();
    else if (entry.drawn.role === "ai") {
      last = entry;
      tools += entry.calls.length;
    }
  }
  if (!goesOn) close();
  else if (last && isFinal(last)) close();
  return entries;
}

const isFinal = ({ drawn: { stored }, calls }: MessageEntry) => stored && calls.length === 0;

function turnOf(entry: MessageEntry, tools: number, times: Record<string, Times>): TurnView {
  const known = times[entry.drawn.id];
  if (!known) return { tools, first: null, total: null };
  const since = (moment: number | null) => (moment === null ? null : (moment - known.run) / 1000);
  return { tools, first: since(known.first), total: since(known.end) };
}
