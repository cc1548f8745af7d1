/** The list of threads as data: pages put together, titles, filters. Nothing here asks the service. */

export type Status = "idle" | "busy" | "interrupted" | "error";

/** What the list knows of a thread; its state, which may have megabytes, is never sent. */
export interface Thread {
  thread_id: string;
  status: Status;
  metadata: Record<string, unknown>;
  created_at: string;
  updated_at: string;
}

export interface List {
  /** Last changed first. */
  threads: Thread[];
  /** How many of them the service has given page by page: where the next page begins. */
  offset: number;
  /** Whether there are more. */
  more: boolean;
}

export const EMPTY: List = { threads: [], offset: 0, more: true };

/** Add the next page. A thread that has moved up since is known already and stays once. */
export function added(list: List, page: Thread[], more: boolean): List {
  const known = new Set(list.threads.map((each) => each.thread_id));
  const fresh = page.filter((each) => !known.has(each.thread_id));
  return { threads: [...list.threads, ...fresh], offset: list.offset + page.length, more };
}

/**
 * Put the newest page in its place. Everything that changed is in it, as changes move a thread to
 * the top. Where nothing of it is known, too much has changed: the list begins anew with it.
 */
export function refreshed(list: List, page: Thread[], more: boolean): List {
  const known = new Map(list.threads.map((each) => [each.thread_id, each]));
  const last = page.at(-1);
  const meets = last !== undefined && page.some((each) => same(known.get(each.thread_id), each));
  if (!meets || !more) return added(EMPTY, page, more);
  const newest = new Set(page.map((each) => each.thread_id));
  // Within the page's span of time only what is in the page is still there.
  const older = list.threads.filter(
    (each) => !newest.has(each.thread_id) && at(each) <= at(last),
  );
  const threads = [...page, ...older];
  return { threads, offset: threads.length, more: list.more };
}

const at = (thread: Thread) => Date.parse(thread.updated_at);

const same = (one: Thread | undefined, other: Thread) => one?.updated_at === other.updated_at;

export function without(list: List, threadId: string): List {
  const threads = list.threads.filter((each) => each.thread_id !== threadId);
  if (threads.length === list.threads.length) return list;
  return { ...list, threads, offset: list.offset - 1 };
}

export const isAnyBusy = (list: List) => list.threads.some((each) => each.status === "busy");

/** The beginning of a message: its text may be plain or in blocks. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((block) => (typeof block === "string" ? block : typeof block?.text === "string" ? block.text : ""))
    .join(" ");
}

const LONGEST = 120;

/** A title on one line; empty where there is nothing to say. */
export function shortened(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  const letters = [...line];
  return letters.length <= LONGEST ? line : `${letters.slice(0, LONGEST - 1).join("")}…`;
}

/** The title that somebody gave it, or else its first message. */
export function titleOf(thread: Thread, firstMessage: string | undefined): string {
  const given = thread.metadata.title ?? thread.metadata.thread_name;
  return shortened(typeof given === "string" && given.trim() ? given : (firstMessage ?? ""));
}

export function graphOf(thread: Thread): string | null {
  const graph = thread.metadata.graph_id;
  return typeof graph === "string" ? graph : null;
}

const PART_OF_AN_ID = 6;

/** Whether all words of a text are in a title, whatever their case; or it is a part of the id. */
export function fits(text: string, title: string, threadId: string): boolean {
  const wanted = text.trim().toLocaleLowerCase();
  const there = title.toLocaleLowerCase();
  if (wanted.split(/\s+/).every((word) => there.includes(word))) return true;
  return wanted.length >= PART_OF_AN_ID && threadId.toLowerCase().includes(wanted);
}
