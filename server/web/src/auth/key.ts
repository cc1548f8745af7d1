/** Whether the service knows a key. */

import { headersOf } from "./session";

export type KeyCheck = "good" | "wrong" | "away";

/** Ask something small. Whoever is refused with 403 is known, and may see other parts of the page. */
export async function checkKey(value: string): Promise<KeyCheck> {
  try {
    const response = await fetch("threads/count", {
      method: "POST",
      cache: "no-store",
      headers: { ...headersOf({ kind: "key", value }), "Content-Type": "application/json" },
      body: "{}",
    });
    if (response.status === 401) return "wrong";
    return response.status >= 500 ? "away" : "good";
  } catch (error) {
    // No header can have such letters: nothing was sent.
    return /[^\x20-\x7e]/.test(value) ? "wrong" : "away";
  }
}
