/** What the reader sees of now: the snapshot, and what each second adds to it. */

import type { Frame } from "../wire";
import type { Breaker, Column, Lines, Model, Now, Point, Process, Tick } from "./shape";

const MOST_TURNS = 50;

/** `again` is when it is asked again, by this browser's clock in milliseconds: counted from there. */
export type Timed<T> = T & { again: number | null };

export interface Seen extends Omit<Now, "models" | "breakers"> {
  models: Timed<Model>[];
  breakers: Timed<Breaker>[];
}

export type News = { event: "now"; data: Now } | { event: "tick"; data: Tick };

/** Read a frame of the stream; null for what is of no matter here. */
export function readNews({ event, data }: Frame): News | null {
  if (event !== "now" && event !== "tick") return null;
  return { event, data: JSON.parse(data) } as News;
}

/** `clock` is this browser's time in milliseconds: the service's clock may be another one. */
export function take(seen: Seen | null, news: News, clock: number): Seen | null {
  if (news.event === "now") return whole(news.data, clock);
  return seen && after(seen, news.data, clock);
}

function whole(now: Now, clock: number): Seen {
  return { ...now, models: timed(now.models, clock), breakers: timed(now.breakers, clock) };
}

function after(seen: Seen, tick: Tick, clock: number): Seen {
  return {
    ...seen,
    at: tick.at,
    figures: tick.figures,
    lines: tick.points.reduce(put, seen.lines),
    models: tick.models ? timed(tick.models, clock) : seen.models,
    breakers: tick.breakers ? timed(tick.breakers, clock) : seen.breakers,
    tools: tick.tools ?? seen.tools,
    processes: processes(seen.processes, tick.processes),
    turns: turns(seen, tick),
  };
}

function timed<T extends { retry_after: number | null }>(each: T[], clock: number): Timed<T>[] {
  return each.map((one) => ({
    ...one,
    again: one.retry_after === null ? null : clock + one.retry_after * 1000,
  }));
}

/** Put a point where its time is: in place of the one of that time, or at the end. */
export function put(lines: Lines, point: Point): Lines {
  const place = lines.time.indexOf(point.time);
  const last = lines.time.at(-1);
  if (place < 0 && last !== undefined && point.time < last) return lines;
  const changed = <T>(column: T[], value: T) =>
    place < 0 ? [...column.slice(1), value] : column.with(place, value);
  const { time, ...columns } = lines;
  const rows = Object.entries(columns).map(([name, column]) => [
    name,
    changed(column, point[name as Column] ?? null),
  ]);
  return { time: changed(time, point.time), ...Object.fromEntries(rows) } as Lines;
}

function processes(known: Process[], news: Tick["processes"]): Process[] {
  const linesOf = new Map(known.map(({ id, lines }) => [id, lines]));
  return news.flatMap(({ points, ...process }) => {
    const lines = linesOf.get(process.id);
    return lines ? [{ ...process, lines: points.reduce(put, lines) }] : [];
  });
}

function turns(seen: Seen, tick: Tick): Seen["turns"] {
  if (!tick.turns.length) return seen.turns;
  const fresh = new Set(tick.turns.map(({ run_id }) => run_id));
  const known = seen.turns.filter(({ run_id }) => !fresh.has(run_id));
  return [...tick.turns, ...known].slice(0, MOST_TURNS);
}
