/** What a person decides of tool calls that wait, in the words of LangChain's middleware. Pure. */

import type { Interrupt } from "../protocol";

/** One call that waits. Our own graphs give it the id of the call; others may not. */
export interface Request {
  id?: string;
  name: string;
  args: Record<string, unknown>;
  description?: string;
}

export type Kind = "approve" | "edit" | "reject";

/** What is chosen for one call so far. */
export interface Choice {
  kind: Kind | null;
  args: unknown;
  valid: boolean;
  reason: string;
}

type Named = { id?: string };
export type Decision = Named &
  (
    | { type: "approve" }
    | { type: "edit"; edited_action: { name: string; args: unknown } }
    | { type: "reject"; message?: string }
  );

const KINDS: Kind[] = ["approve", "edit", "reject"];
const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/** The calls that an interrupt asks to be decided on; null where it asks for something else. */
export function requestsOf({ value }: Interrupt): Request[] | null {
  if (!isObject(value) || !Array.isArray(value.action_requests)) return null;
  const requests = value.action_requests.filter(isObject).map((each) => ({
    ...(typeof each.id === "string" ? { id: each.id } : {}),
    name: String(each.name ?? each.action ?? ""),
    args: isObject(each.args) ? each.args : {},
    ...(typeof each.description === "string" ? { description: each.description } : {}),
  }));
  return requests.length ? requests : null;
}

/** What may be decided of a call of this name; all, where nothing is said. */
export function allowedFor({ value }: Interrupt, name: string): Kind[] {
  const configs = isObject(value) && Array.isArray(value.review_configs) ? value.review_configs : [];
  const config = configs.filter(isObject).find((each) => each.action_name === name);
  const allowed = config?.allowed_decisions;
  return Array.isArray(allowed) ? KINDS.filter((each) => allowed.includes(each)) : KINDS;
}

export const undecided = (request: Request): Choice => ({
  kind: null,
  args: request.args,
  valid: true,
  reason: "",
});

export const isDecided = ({ kind, valid }: Choice) => kind !== null && (kind !== "edit" || valid);

/** Put the choices as the graph takes them: one for each call, in their order. */
export function decisionsOf(requests: Request[], choices: Choice[]): Decision[] {
  return requests.map((request, at) => {
    const choice = choices[at] ?? undecided(request);
    const named = request.id === undefined ? {} : { id: request.id };
    if (choice.kind === "edit") {
      return { ...named, type: "edit", edited_action: { name: request.name, args: choice.args } };
    }
    if (choice.kind === "reject") {
      const reason = choice.reason.trim();
      return { ...named, type: "reject", ...(reason ? { message: reason } : {}) };
    }
    return { ...named, type: "approve" };
  });
}

/** The schema of an answer, where the interrupt or its value carries one. */
export function schemaOf(interrupt: Interrupt): Record<string, unknown> | null {
  const { value, response_schema: beside } = interrupt;
  const within = isObject(value) ? (value.response_schema ?? value.schema ?? value.json_schema) : null;
  return [beside, within].find(isObject) ?? null;
}

/** The question in words, where the value has one, and what else it holds. */
export function questionOf(value: unknown): { text: string; rest: unknown } {
  if (typeof value === "string") return { text: value, rest: undefined };
  if (!isObject(value)) return { text: "", rest: value };
  const name = ["question", "message", "prompt", "description", "title"].find(
    (each) => typeof value[each] === "string",
  );
  const { response_schema: _, schema: __, json_schema: ___, ...others } = value;
  if (!name) return { text: "", rest: nonEmpty(others) };
  const { [name]: text, ...rest } = others;
  return { text: String(text), rest: nonEmpty(rest) };
}

const nonEmpty = (value: object) => (Object.keys(value).length ? value : undefined);

/** An answer without a schema: what looks like JSON is JSON, anything else is text. */
export function answerOf(text: string): unknown {
  if (!/^\s*([[{"]|-?\d|true\s*$|false\s*$|null\s*$)/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
