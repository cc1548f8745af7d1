/** What can be done with a thread of the list. Each throws what the service says against it. */

import { post, request } from "../api";
import { go, place } from "../place";
import { dropFeed } from "../thread/open";
import { type Format, exported, save } from "./export";
import type { Thread } from "./list";
import { changed } from "./live";
import { forget } from "./loading";

const pathOf = (threadId: string) => `/threads/${encodeURIComponent(threadId)}`;

/** Give it a title; an empty one brings its first message back. */
export async function rename(thread: Thread, title: string): Promise<void> {
  const metadata = { title: title.trim() || null };
  await request("PATCH", pathOf(thread.thread_id), { body: { metadata }, headers: { Prefer: "return=minimal" } });
  changed();
}

/** Make a copy, named after what it is a copy of, and open it. */
export async function copy(thread: Thread, title: string): Promise<void> {
  const made = await post<Thread>(`${pathOf(thread.thread_id)}/copy`);
  await request("PATCH", pathOf(made.thread_id), { body: { metadata: { title } } });
  changed();
  go({ name: "talk", threadId: made.thread_id });
}

export async function exportAs(thread: Thread, format: Format): Promise<void> {
  const ending = format === "json" ? "json" : "md";
  save(await exported(thread, format), `thread-${thread.thread_id}.${ending}`);
}

/** Delete it. Who looks at it is led away first. */
export async function remove(thread: Thread): Promise<void> {
  const here = place.get();
  if (here.threadId === thread.thread_id) go({ ...here, threadId: null });
  dropFeed(thread.thread_id);
  await request("DELETE", pathOf(thread.thread_id));
  forget(thread.thread_id);
  changed();
}
