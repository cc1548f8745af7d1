/** Calls of tools: begun, growing, ended, failed. */

import type { ToolData } from "../protocol";
import type { Call, ThreadState } from "./state";

export function toolSaid(state: ThreadState, data: ToolData, at: number): ThreadState {
  const before = state.calls[data.tool_call_id];
  const call = next(before, data, at);
  return { ...state, calls: { ...state.calls, [data.tool_call_id]: call } };
}

function next(before: Call | undefined, data: ToolData, at: number): Call {
  const call: Call = before ?? { phase: "running", started: at, ended: null, output: null, failure: null };
  switch (data.event) {
    case "tool-started":
      return { phase: "running", started: at, ended: null, output: null, failure: null };
    case "tool-output-delta":
      return { ...call, output: (call.output ?? "") + textOf(data.delta) };
    case "tool-finished": {
      const failure = failureIn(data.output);
      return { ...call, phase: failure ? "failed" : "done", ended: at, output: textOf(data.output), failure };
    }
    case "tool-error":
      return { ...call, phase: "failed", ended: at, output: data.message ?? data.error ?? "", failure: "tool_error" };
  }
}

interface Answer {
  content?: unknown;
  status?: string;
  additional_kwargs?: { failure?: string };
}

/** The class of failure of a tool's answer; null for a result. */
export function failureIn(output: unknown): string | null {
  if (typeof output !== "object" || !output) return null;
  const { status, additional_kwargs: more } = output as Answer;
  return more?.failure ?? (status === "error" ? "tool_error" : null);
}

export function textOf(output: unknown): string {
  if (typeof output === "string") return output;
  const content = (output as Answer | null)?.content ?? output;
  return typeof content === "string" ? content : JSON.stringify(content);
}
