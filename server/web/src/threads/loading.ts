/** Where the list of threads comes from, and when it is asked for again. */

import { Problem, post, send } from "../api";
import { create } from "../store";
import { EMPTY, type List, type Status, type Thread, added, refreshed, textOf, without } from "./list";

export interface Filter {
  text: string;
  graph: string;
  status: Status | "";
}

const PAGE = 30;
const FIELDS = ["thread_id", "status", "metadata", "created_at", "updated_at"];

export const filter = create<Filter>({ text: "", graph: "", status: "" });
export const list = create<List>(EMPTY);
/** The first messages, by thread: read once for each state of a thread. */
export const firstMessages = create<Record<string, string>>({});
/** How many threads wait for an answer, wherever they are in the list. */
export const waiting = create(0);
export const failure = create<Problem | Error | null>(null);

const readAt = new Map<string, string>();
let loading: Promise<void> | null = null;
let again = false;
let round = 0;

/** Choose what is listed. The text is looked for in what was loaded: it asks for nothing anew. */
export function choose(change: Partial<Filter>): void {
  const before = filter.get();
  const next = { ...before, ...change };
  filter.set(next);
  if (next.graph === before.graph && next.status === before.status) return;
  round += 1;
  loading = null;
  list.set(EMPTY);
  void loadMore();
}

/** Load the next page. One at a time: a second call while one is under way waits for the same. */
export function loadMore(): Promise<void> {
  if (!list.get().more) return Promise.resolve();
  return once(async () => {
    const { page, more } = await search(list.get().offset);
    return () => list.update((known) => added(known, page, more));
  });
}

/** Ask for the newest page again, and how many threads wait. */
export async function refresh(): Promise<void> {
  if (loading) {
    again = true;
    return loading;
  }
  await once(async () => {
    const [{ page, more }, count] = await Promise.all([search(0), countWaiting()]);
    return () => {
      waiting.set(count);
      list.update((known) => refreshed(known, page, more));
    };
  });
}

export function forget(threadId: string): void {
  list.update((known) => without(known, threadId));
}

function once(ask: () => Promise<() => void>): Promise<void> {
  if (loading) return loading;
  const mine = round;
  const work = (async () => {
    try {
      const apply = await ask();
      if (mine !== round) return;
      apply();
      failure.set(null);
      void readTitles(list.get().threads);
    } catch (error) {
      if (mine === round) failure.set(error as Error);
    } finally {
      if (mine === round) loading = null;
    }
    if (again && mine === round) {
      again = false;
      await refresh();
    }
  })();
  loading = work;
  return work;
}

async function search(offset: number): Promise<{ page: Thread[]; more: boolean }> {
  const { graph, status } = filter.get();
  const body = {
    limit: PAGE,
    offset,
    select: FIELDS,
    ...(status && { status }),
    ...(graph && { metadata: { graph_id: graph } }),
  };
  const response = await send("POST", "/threads/search", { body });
  const page = (await response.json()) as Thread[];
  return { page, more: response.headers.has("X-Pagination-Next") };
}

const countWaiting = () => post<number>("/threads/count", { status: "interrupted" });

/**
 * Read the first messages of threads that have no title of their own and have changed since. The
 * search of a page reads no states, so that it is cheap to repeat; only these few are read.
 */
async function readTitles(threads: Thread[]): Promise<void> {
  const unread = threads.filter(
    ({ thread_id, updated_at, metadata, status }) =>
      typeof metadata.title !== "string" &&
      readAt.get(thread_id) !== updated_at &&
      !(status === "busy" && firstMessages.get()[thread_id]),
  );
  for (let start = 0; start < unread.length; start += PAGE) {
    await readSome(unread.slice(start, start + PAGE));
  }
}

async function readSome(threads: Thread[]): Promise<void> {
  for (const { thread_id, updated_at } of threads) readAt.set(thread_id, updated_at);
  const body = {
    ids: threads.map((each) => each.thread_id),
    limit: PAGE,
    select: ["thread_id"],
    extract: { first: "values.messages[0].content" },
  };
  type Found = { thread_id: string; extracted: { first: unknown } };
  try {
    const found = await post<Found[]>("/threads/search", body);
    const texts = found
      .map(({ thread_id, extracted }) => [thread_id, textOf(extracted.first)] as const)
      .filter(([, text]) => text); // a thread whose first step is not done has no message yet
    firstMessages.update((known) => ({ ...known, ...Object.fromEntries(texts) }));
  } catch {
    for (const { thread_id } of threads) readAt.delete(thread_id);
  }
}
