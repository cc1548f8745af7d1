/** Where the reader is: kept in the address after `#`, so that a reload and a link lead there. */

import { create } from "./store";

export type Place =
  | { name: "threads" }
  | { name: "talk"; threadId: string | null }
  | { name: "graph"; threadId: string | null }
  | { name: "now" };

/** `#/threads`, `#/talk/THREAD`, `#/graph/THREAD`, `#/now`. */
export function placeOf(hash: string): Place {
  const [, name, id] = hash.split("/");
  const threadId = id ? decodeURIComponent(id) : null;
  if (name === "threads" || name === "now") return { name };
  if (name === "graph") return { name, threadId };
  return { name: "talk", threadId };
}

export function hashOf(place: Place): string {
  const id = "threadId" in place && place.threadId ? `/${encodeURIComponent(place.threadId)}` : "";
  return `#/${place.name}${id}`;
}

export const place = create(placeOf(location.hash));

window.addEventListener("hashchange", () => place.set(placeOf(location.hash)));

export function go(next: Place): void {
  location.hash = hashOf(next);
}
