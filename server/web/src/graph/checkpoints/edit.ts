/** From an edited state to what is written: as a node writes it, so that the graph's reducers take it. */

import { post } from "../../api";
import type { Message } from "../../protocol";
import { type Values, isMessage, same } from "./difference";
import { valuesAt } from "./state";

/** A state as it is edited: of messages only what says something. */
export function tidy(values: Values): Values {
  const short = (value: unknown) => (Array.isArray(value) ? value.map((each) => (isMessage(each) ? withoutEmpty(each) : each)) : value);
  return Object.fromEntries(Object.entries(values).map(([channel, value]) => [channel, short(value)]));
}

function withoutEmpty(message: Message): Message {
  const said = Object.entries(message).filter(([name, value]) => name === "content" || !isEmpty(value));
  return Object.fromEntries(said) as unknown as Message;
}

const isEmpty = (value: unknown) =>
  value === null || (typeof value === "object" && Object.keys(value as object).length === 0);

/** The channels that have changed. Of messages those that have; one that is gone is taken out by its id. */
export function updateOf(before: Values, after: Values): Values {
  const changed = Object.entries(after).filter(([channel, value]) => !same(before[channel], value));
  return Object.fromEntries(changed.map(([channel, value]) => [channel, written(before[channel], value)]));
}

function written(before: unknown, after: unknown): unknown {
  if (!Array.isArray(before) || !Array.isArray(after) || !before.length || !before.every(isMessage)) return after;
  const old = new Map(before.map((message: Message) => [message.id, message]));
  const kept = new Set(after.map((message) => (message as Message).id));
  const gone = before.filter(({ id }) => !kept.has(id)).map(({ id }) => ({ type: "remove", id, content: "" }));
  return [...gone, ...after.filter((message) => !same(old.get((message as Message).id), message))];
}

/** The channels that have come out otherwise: a reducer has put the value to what was there. */
export function otherwise(wanted: Values, update: Values, got: Values): string[] {
  return Object.keys(update).filter((channel) => !same(plain(wanted[channel]), plain(got[channel])));
}

/** Of messages what a reader writes: the service completes the rest. */
const plain = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map((each) => (isWritten(each) ? { type: each.type, content: each.content } : each))
    : value;

const isWritten = (value: unknown): value is Message =>
  typeof value === "object" && value !== null && "type" in value && "content" in value;

/** Fork the thread at a checkpoint with an edited state. Returns the id of the new checkpoint. */
export async function fork(threadId: string, checkpointId: string, before: Values, after: Values, asNode: string): Promise<string> {
  const update = updateOf(before, after);
  const write = async (values: Values) => {
    const body = { values, checkpoint: { checkpoint_id: checkpointId }, ...(asNode ? { as_node: asNode } : {}) };
    return (await post<{ checkpoint_id: string }>(`/threads/${threadId}/state`, body)).checkpoint_id;
  };
  const first = await write(update);
  const wrong = otherwise(after, update, await valuesAt(threadId, first));
  if (wrong.length === 0) return first;
  // LangGraph's reducers take a value in this form for the whole.
  const whole = wrong.map((channel) => [channel, { __overwrite__: after[channel] }]);
  return write({ ...update, ...Object.fromEntries(whole) }).catch(() => first);
}
