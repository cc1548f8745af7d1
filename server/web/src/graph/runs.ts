/** Runs that are started from the place Graph: from a checkpoint, and on from a breakpoint. */

import { post } from "../api";
import { command } from "../thread/commands";
import { interruptsOf } from "./breakpoints";

/** All that the page shows of a run; a run of `run.start` streams it by itself. */
const MODES = ["values", "updates", "messages-tuple", "tasks", "checkpoints", "custom"];

/**
 * Run on without a new input: from a checkpoint, or from where the thread has stopped. Breakpoints
 * are passed to `POST /threads/{id}/runs`, as no command takes them.
 */
export async function runOn(threadId: string, assistantId: string, checkpointId: string | null = null): Promise<void> {
  const interrupts = interruptsOf(assistantId);
  const at = checkpointId === null ? {} : { checkpoint_id: checkpointId };
  if (Object.keys(interrupts).length > 0) {
    const streamed = { stream_mode: MODES, stream_subgraphs: true, stream_resumable: true };
    await post(`/threads/${threadId}/runs`, { assistant_id: assistantId, input: null, ...at, ...streamed, ...interrupts });
  } else if (checkpointId === null) {
    await command(threadId, "run.start", { assistant_id: assistantId, input: null });
  } else {
    await command(threadId, "state.fork", { checkpoint_id: checkpointId });
  }
}
