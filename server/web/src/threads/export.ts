/** A thread as a file: what the service exports of a chat, or else what the thread's state holds. */

import { get, send } from "../api";
import type { Message } from "../protocol";
import { type Thread, textOf, titleOf } from "./list";

export type Format = "json" | "markdown";

interface State {
  values: { messages?: Message[] } & Record<string, unknown>;
  checkpoint?: { checkpoint_id?: string };
  created_at?: string | null;
}

/**
 * The service exports turns that came by the chat routes, also those that have left the agent's
 * memory. Where a thread was talked to by other routes, its state says more.
 */
export async function exported(thread: Thread, format: Format): Promise<Blob> {
  const id = encodeURIComponent(thread.thread_id);
  const path = `/api/chat/session/${id}/export?format=`;
  const [history, state] = await Promise.all([
    get<{ history: unknown[] }>(`${path}json`).catch(() => ({ history: [] })),
    get<State>(`/threads/${id}/state`),
  ]);
  const messages = Array.isArray(state.values?.messages) ? state.values.messages : [];
  const questions = messages.filter((each) => each.type === "human").length;
  if (history.history.length && history.history.length >= questions) {
    return await (await send("GET", `${path}${format}`, { headers: { Accept: "*/*" } })).blob();
  }
  if (format === "json") return jsonFile({ ...thread, values: state.values });
  return new Blob([markdownOf(thread, messages)], { type: "text/markdown" });
}

const jsonFile = (value: unknown) =>
  new Blob([JSON.stringify(value, null, 2)], { type: "application/json" });

/** The messages to read, as the service's own export writes them. */
export function markdownOf(thread: Thread, messages: Message[]): string {
  const first = textOf(messages[0]?.content);
  const parts = [`# ${titleOf(thread, first) || thread.thread_id}`, `Thread \`${thread.thread_id}\``];
  for (const message of messages) {
    const text = textOf(message.content).trim();
    const calls = (message.tool_calls ?? []).map(
      (call) => `Calls \`${call.name}\`:\n\n${fenced(JSON.stringify(call.args, null, 2))}`,
    );
    const body = [message.type === "tool" ? fenced(text) : text, ...calls].filter(Boolean);
    if (body.length) parts.push(`## ${headingOf(message)}`, ...body);
  }
  return `${parts.join("\n\n")}\n`;
}

function headingOf({ type, name }: Message): string {
  if (type === "human") return "User";
  if (type === "ai") return name ? `Assistant, ${name}` : "Assistant";
  return type === "tool" ? `Tool, ${name ?? ""}`.replace(/, $/, "") : "System";
}

/** A block of code that its own text cannot end. */
function fenced(text: string): string {
  if (!text) return "";
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}

/** Give a file to the reader, as a click on a link would. */
export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
