/** What a thread looks like: made by the reducer, drawn by the parts of Talk. */

import type { Interrupt, Message, Usage } from "../protocol";

export type Phase = "idle" | "busy" | "waiting" | "failed";

/** A piece of a message: words, thoughts, a call of a tool, or something else that it shows. */
export type Block =
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  | { type: "tool_call"; id: string; name: string; text: string; args: unknown; whole: boolean; wrong: string | null }
  | { type: "other"; kind: string; value: Record<string, unknown> };

/** A message that is streamed, and that the thread's state does not hold yet. */
export interface Streamed {
  kind: "streamed";
  id: string;
  role: string;
  node: string | null;
  namespace: string[];
  model: string | null;
  usage: Usage | null;
  blocks: Block[];
  done: boolean;
}

/** Words that were shown and are no answer. `model` and `chars` come with the custom event `reset`. */
export interface Taken {
  kind: "taken";
  id: string;
  text: string;
  calls: number;
  model: string | null;
  reason: string;
}

/** A model has failed: the same one or another one is asked. */
export interface Asked {
  kind: "fallback" | "retry";
  id: string;
  from: string;
  to: string | null;
  reason: string;
  seconds: number | null;
  attempt: number;
}

/** A question that the service has taken out of the thread, because it found no answer. */
export interface Unanswered {
  kind: "unanswered";
  id: string;
  message: Message;
}

export interface Failure {
  kind: "failure";
  id: string;
  error: string;
}

/** Events are lost: the service no longer had them. */
export interface Gap {
  kind: "gap";
  id: string;
}

/** What is shown beside the stored messages, after the message `after`. */
export type Extra = (Streamed | Taken | Asked | Unanswered | Failure | Gap) & { after: string | null };

export interface Call {
  phase: "running" | "done" | "failed";
  started: number;
  ended: number | null;
  output: string | null;
  failure: string | null;
}

/** Moments of a message, in ms since the epoch, all by the service's clock. */
export interface Times {
  run: number;
  first: number | null;
  end: number | null;
}

export interface Run {
  id: string;
  started: number;
  ended: number | null;
}

export interface Attempt {
  model: string;
  failure: string;
  message: string;
  seconds?: number;
  usage?: Usage;
  cost?: number;
}

export interface Route {
  model: string;
  mode: "primary" | "retry" | "fallback" | "offline" | "stopped" | "cache";
  tried: Attempt[];
  degraded: boolean;
  usage?: Usage;
  cost?: number;
  reason?: string;
  expected_back?: string;
  /** Of an answer that was kept from an earlier turn: its age in seconds, and what was not spent again. */
  cached?: { age: number; cost_saved?: number; tokens_saved?: number };
}

export interface ThreadState {
  /** The messages of the thread's newest state. */
  stored: Message[];
  extras: Extra[];
  /** Of the newest run, by the id of the call. */
  calls: Record<string, Call>;
  times: Record<string, Times>;
  run: Run | null;
  phase: Phase;
  interrupts: Interrupt[];
  /** What waited when the run under way began: it waits again where the run's answer did not fit. */
  answered: Interrupt[];
  /** What the state holds beside its messages: a plan, and so on. */
  channels: Record<string, unknown>;
  /** What was remembered of the user, and joined the prompt of the newest run. */
  memories: string[];
  /** The newest checkpoint of the root graph. */
  checkpoint: string | null;
  /** Attempts of the run under way that have failed. */
  tried: Attempt[];
  /** Questions that came with the run under way. */
  asked: Message[];
  /** Whether a state was seen, so that an older one need not be taken. */
  seen: boolean;
}

export const EMPTY: ThreadState = {
  stored: [],
  extras: [],
  calls: {},
  times: {},
  run: null,
  phase: "idle",
  interrupts: [],
  answered: [],
  channels: {},
  memories: [],
  checkpoint: null,
  tried: [],
  asked: [],
  seen: false,
};

/** The state of a thread as `GET /threads/{id}/state` tells it. */
export interface StoredState {
  values: Record<string, unknown> | null;
  interrupts: Interrupt[];
  checkpoint_id?: string | null;
}
