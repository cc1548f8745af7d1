/** What nodes say beside their messages: who is asked, what is taken back, how far a plan is, what is lost. */

import type { Asked, Extra, ThreadState } from "./state";

export interface Said {
  name?: string;
  payload?: unknown;
}

interface Payload {
  from?: string;
  to?: string | null;
  reason?: string;
  model?: string;
  message_id?: string;
  id?: string;
  steps?: unknown;
  memories?: unknown;
}

export function customSaid(state: ThreadState, { name, payload }: Said, seq: number | null): ThreadState {
  const said = (payload ?? {}) as Payload;
  if (name === "fallback" || name === "retry") return add(state, asked(state, name, said, seq));
  if (name === "reset") return reset(state, said);
  if (name === "plan") return planned(state, said.steps);
  if (name === "step") return planned(state, withStep(state.channels.steps, said));
  if (name === "memories") return { ...state, memories: texts(said.memories) };
  if (name === "gap") return add(state, { kind: "gap", id: `gap-${seq}`, after: last(state) });
  return state;
}

function asked(state: ThreadState, kind: Asked["kind"], said: Payload, seq: number | null): Extra {
  const attempt = state.tried.at(-1);
  const seconds = attempt && attempt.model === said.from ? (attempt.seconds ?? null) : null;
  const from = said.from ?? "";
  const reason = said.reason ?? "";
  const number = state.tried.length + 1;
  return { kind, id: `${kind}-${seq}`, from, to: said.to ?? null, reason, seconds, attempt: number, after: last(state) };
}

/** The message has ended already, and was taken back: now it is known whose it was, and why. */
function reset(state: ThreadState, said: Payload): ThreadState {
  const id = `taken-${said.message_id}`;
  const extras = state.extras.map((extra) =>
    extra.kind === "taken" && extra.id === id
      ? { ...extra, model: said.model ?? extra.model, reason: said.reason ?? extra.reason }
      : extra,
  );
  return { ...state, extras };
}

const planned = (state: ThreadState, steps: unknown): ThreadState => ({ ...state, channels: { ...state.channels, steps } });

/** A step has begun or ended: the plan's own channel says so only when all that run beside it have ended. */
function withStep(steps: unknown, { type: _, ...step }: Payload & { type?: string }): unknown {
  if (!Array.isArray(steps)) return steps;
  return steps.map((each: { id?: string } | null) => (each?.id === step.id ? { ...each, ...step } : each));
}

const texts = (all: unknown): string[] => (Array.isArray(all) ? all.filter((each) => typeof each === "string") : []);

const last = (state: ThreadState) => state.stored.at(-1)?.id ?? null;

const add = (state: ThreadState, extra: Extra): ThreadState => ({ ...state, extras: [...state.extras, extra] });
