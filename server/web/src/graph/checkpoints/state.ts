/** The states at checkpoints: they never change, so each is asked for once. */

import { post } from "../../api";
import { type Loaded, useLoaded } from "../use-loaded";
import { type Values, isObject } from "./difference";

const KEPT = 40;
/** In ms: who runs through the tree with an arrow key does not stop at each checkpoint. */
const PAUSE = 120;
const kept = new Map<string, Promise<At>>();

/** A state, and the nodes that would run next. */
interface At {
  values: Values;
  next: readonly string[];
}

export const valuesAt = async (threadId: string, checkpointId: string): Promise<Values> =>
  (await stateAt(threadId, checkpointId)).values;

function stateAt(threadId: string, checkpointId: string): Promise<At> {
  const key = `${threadId} ${checkpointId}`;
  const found = kept.get(key) ?? load(threadId, checkpointId);
  kept.delete(key);
  kept.set(key, found);
  found.catch(() => kept.delete(key));
  for (const oldest of [...kept.keys()].slice(0, Math.max(0, kept.size - KEPT))) kept.delete(oldest);
  return found;
}

async function load(threadId: string, checkpointId: string): Promise<At> {
  const body = { checkpoint: { checkpoint_id: checkpointId }, select: ["values", "next"] };
  const { values, next } = await post<{ values: unknown; next: string[] }>(`/threads/${threadId}/state/checkpoint`, body);
  // The state of a functional graph may be anything.
  return { values: isObject(values) ? values : { value: values }, next };
}

export interface States {
  before: Values;
  after: Values;
  /** The nodes that would run after the second. */
  next: readonly string[];
}

/** The states at two checkpoints; where there is none before, an empty one. Null until both are there. */
export function useStates(threadId: string, checkpointId: string, before: string | null): Loaded<States> {
  const key = `${threadId} ${checkpointId} ${before}`;
  const load = async () => {
    const [after, earlier] = await Promise.all([
      stateAt(threadId, checkpointId),
      before === null ? Promise.resolve({}) : valuesAt(threadId, before),
    ]);
    return { key, states: { before: earlier, after: after.values, next: after.next } };
  };
  const { value, error } = useLoaded(key, load, PAUSE);
  return { value: value?.key === key ? value.states : null, error };
}
