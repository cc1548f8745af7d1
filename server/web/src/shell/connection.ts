/** Whether the service can be reached: every request says so, and one that asks for nothing else. */

import { useEffect } from "react";

import { create, useValue } from "../store";

const PAUSE = 2_000;

export const away = create(false);

/** Send a request, and note whether anybody answers. */
export async function noted(sent: Promise<Response>, signal: AbortSignal | undefined): Promise<Response> {
  try {
    const response = await sent;
    // What stands before the service says that the service is not there.
    away.set(response.status === 502 || response.status === 504);
    return response;
  } catch (error) {
    if (!signal?.aborted) away.set(true);
    throw error;
  }
}

/** While the service is away, ask whether it is back: nothing else may be asking. */
export function useReturn(back: () => void): boolean {
  const isAway = useValue(away);
  useEffect(() => {
    if (!isAway) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") noted(fetch("ok", { cache: "no-store" }), undefined).catch(() => undefined);
    }, PAUSE);
    return () => {
      clearInterval(timer);
      back();
    };
  }, [isAway]);
  return isAway;
}
