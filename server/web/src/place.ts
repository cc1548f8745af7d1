/** Where the reader is: kept in the address after `#`, so that a reload and a link lead there. */

import { create } from "./store";

const NAMES = ["threads", "talk", "graph", "now"] as const;

/** Threads and Now are about no single thread: they keep which one the reader came from. */
export interface Place {
  name: (typeof NAMES)[number];
  threadId: string | null;
}

/** `#/threads`, `#/talk/THREAD`, `#/graph/THREAD`, `#/now/THREAD`. */
export function placeOf(hash: string): Place {
  const [, given, id] = hash.split("/");
  const name = NAMES.find((each) => each === given) ?? "talk";
  return { name, threadId: id ? decodeURIComponent(id) : null };
}

export function hashOf(place: Place): string {
  const id = place.threadId ? `/${encodeURIComponent(place.threadId)}` : "";
  return `#/${place.name}${id}`;
}

export const place = create(placeOf(location.hash));

window.addEventListener("hashchange", () => place.set(placeOf(location.hash)));

export function go(next: Place): void {
  location.hash = hashOf(next);
}
