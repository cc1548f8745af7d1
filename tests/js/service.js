// The running service, as both versions of LangGraph's client see it.

import assert from "node:assert/strict";
import { Client as Client1 } from "sdk-v1";
import { Client as Client2 } from "sdk-v2";

export const url = process.env.EVERTURN_URL;
export const versions = { "1.x": Client1, "2.0.0": Client2 };

/** A client that asks once: what fails here shall be seen, not tried again. */
export function clientOf(Client, apiUrl = url) {
  return new Client({ apiUrl, apiKey: null, callerOptions: { maxRetries: 0 } });
}

export async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

// In ms; as in tests/waiting.py: it only ends a test that waits in vain.
const PATIENCE = 120_000;

export async function until(what, found) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    if (await found()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`not within ${PATIENCE / 1000} s: ${what}`);
}

export const said = (values) => values.messages.map((message) => message.content);
