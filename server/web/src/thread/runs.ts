/** What a reader does with a thread: says something, asks otherwise, asks again, stops. */

import { post } from "../api";
import { hasBreakpoints, interruptsOf } from "../graph/breakpoints";
import { command } from "./commands";
import { freshId } from "./ids";
import { add, drop } from "./queue";
import { chosen, contextOf } from "./settings";

// Of the modes of a command, `tools` is none of the route's.
const MODES = ["values", "updates", "messages-tuple", "tasks", "checkpoints", "custom"];

/** Start a run with a question. `after`: the checkpoint that it follows; null is the newest. */
export async function say(threadId: string, text: string, after: string | null): Promise<void> {
  const id = freshId();
  add(threadId, { id, text, runId: null });
  try {
    const input = { messages: [{ type: "human", content: text, id }] };
    const runId = await start(threadId, input, after);
    add(threadId, { id, text, runId });
  } catch (error) {
    drop(threadId, (entry) => entry.id === id);
    throw error;
  }
}

/** Start a run of a graph that takes no messages, with an input of its own. */
export const begin = (threadId: string, input: unknown, after: string | null) => start(threadId, input, after);

/** Let the graph go on from a checkpoint once more. */
export async function again(threadId: string, checkpointId: string): Promise<void> {
  const config = { configurable: contextOf(chosen.get()) };
  await command(threadId, "state.fork", { checkpoint_id: checkpointId, config });
}

export const stop = (threadId: string, runId: string | null, rollback: boolean) =>
  command(threadId, "run.cancel", { ...(runId ? { run_id: runId } : {}), action: rollback ? "rollback" : "interrupt" });

async function start(threadId: string, input: unknown, after: string | null): Promise<string> {
  const { assistantId, ...choice } = chosen.get();
  const context = contextOf({ assistantId, ...choice });
  if (!hasBreakpoints(assistantId)) {
    const configurable = { ...context, ...(after === null ? {} : { checkpoint_id: after }) };
    const params = { assistant_id: assistantId, input, config: { configurable } };
    return (await command(threadId, "run.start", params)).run_id;
  }
  // The command knows no breakpoints: the route of LangGraph's server does.
  const { run_id } = await post<{ run_id: string }>(
    `/threads/${threadId}/runs`,
    {
      assistant_id: assistantId,
      input,
      context,
      ...interruptsOf(assistantId),
      ...(after === null ? {} : { checkpoint_id: after }),
      ...{ stream_mode: MODES, stream_subgraphs: true, stream_resumable: true },
      ...{ if_not_exists: "create", multitask_strategy: "enqueue" },
    },
    { headers: { "Idempotency-Key": freshId() } },
  );
  return run_id;
}
