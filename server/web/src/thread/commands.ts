/** Commands of the event protocol: see docs/protocol.md. */

import { post } from "../api";
import { freshId } from "./ids";

export class CommandRefused extends Error {
  constructor(
    readonly error: string,
    message: string,
  ) {
    super(message);
  }
}

interface Answer {
  type: "success" | "error";
  result?: Record<string, unknown>;
  error?: string;
  message?: string;
}

let number = 0;
const PAUSES = [300, 1000]; // milliseconds before it is sent again

/** Send a command. Where the service is away it is sent again, and is carried out once all the same. */
export async function command<T = { run_id: string }>(
  threadId: string,
  method: string,
  params: Record<string, unknown>,
): Promise<T> {
  number += 1;
  const body = { id: number, method, params };
  const headers = { "Idempotency-Key": freshId() };
  const path = `/threads/${threadId}/commands`;
  const answer = await patiently(() => post<Answer>(path, body, { headers }));
  if (answer.type === "error") throw new CommandRefused(answer.error ?? "", answer.message ?? "");
  return answer.result as T;
}

/** Only a connection that fails is tried again; what the service has refused is refused. */
async function patiently<T>(send: () => Promise<T>): Promise<T> {
  for (const pause of PAUSES) {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return send();
}
