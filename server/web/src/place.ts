/** Where the reader is: kept in the address after `#`, so that a reload and a link lead there. */

import { create } from "./store";

const NAMES = ["threads", "talk", "graph", "now"] as const;

/** Threads and Now are about no single thread: they keep which one the reader came from. */
export interface Place {
  name: (typeof NAMES)[number];
  threadId: string | null;
}

const THREAD_ID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/**
 * `#/threads`, `#/talk/THREAD`, `#/graph/THREAD`, `#/now/THREAD`. An address may come from anywhere, and
 * what stands for the thread becomes part of the addresses that are asked with the reader's key:
 * only what can be the id of a thread, a UUID, is taken for one.
 */
export function placeOf(hash: string): Place {
  const [, given, id] = hash.split("/");
  const name = NAMES.find((each) => each === given) ?? "talk";
  return { name, threadId: id && THREAD_ID.test(id) ? id : null };
}

export function hashOf(place: Place): string {
  const id = place.threadId ? `/${place.threadId}` : "";
  return `#/${place.name}${id}`;
}

export const place = create(placeOf(location.hash));

window.addEventListener("hashchange", () => place.set(placeOf(location.hash)));

export function go(next: Place): void {
  location.hash = hashOf(next);
}
