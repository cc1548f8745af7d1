/** What `GET /api/now` and its stream say: see docs/now.md. Times are Unix seconds. */

export interface Figures {
  turns_per_second: number;
  turns: number;
  failed: number;
  first_token_p50: number | null;
  first_token_p95: number | null;
  seconds_p50: number | null;
  seconds_p95: number | null;
  tokens: number;
  cost: number;
  tokens_today: number;
  cost_today: number;
  running: number;
  waiting: number;
  background_waiting: number;
}

export type Column =
  | "turns_per_second"
  | "first_token_p50"
  | "first_token_p95"
  | "seconds_p50"
  | "seconds_p95"
  | "tokens"
  | "cost"
  | "running"
  | "waiting";

/** Columns of equal length, oldest first; the last step is still under way. */
export type Lines = { time: number[] } & Record<Column, (number | null)[]>;

/** One row of the lines. */
export type Point = { time: number } & Partial<Record<Column, number | null>>;

export interface Model {
  name: string;
  circuit: "closed" | "doubtful" | "open" | "half_open";
  retry_after: number | null;
  latency: number | null;
  failing: number;
  calls: number;
  failures: Record<string, number>;
  tokens: number;
  cost: number;
}

export interface Breaker {
  subject: string;
  state: "doubtful" | "open" | "half_open";
  retry_after: number | null;
}

export interface Tool {
  name: string;
  calls: number;
  failures: Record<string, number>;
  cache_hits: number;
  seconds_p95: number | null;
}

export interface ProcessState {
  id: string;
  name: string;
  answers: boolean;
  heartbeat_age: number;
  alive: boolean;
  started_at: number;
  memory: number | null;
  loop_lag: number;
  figures: Figures;
}

export type Process = ProcessState & { lines: Lines };

export interface Turn {
  run_id: string;
  thread_id: string | null;
  graph: string;
  endpoint: string;
  model: string | null;
  status: "success" | "error" | "cancelled" | "interrupted";
  error: string | null;
  first_token: number | null;
  seconds: number;
  tokens: number;
  cost: number | null;
  failed_cost: number | null;
  attempts: number;
  fallbacks: number;
  ended_at: number;
  process: string;
}

export interface Now {
  at: number;
  window: number;
  step: number;
  figures: Figures;
  lines: Lines;
  models: Model[];
  breakers: Breaker[];
  tools: Tool[];
  processes: Process[];
  turns: Turn[];
}

/** What changed within a second; what is absent stays as it is. */
export interface Tick {
  at: number;
  figures: Figures;
  points: Point[];
  models?: Model[];
  breakers?: Breaker[];
  tools?: Tool[];
  processes: (ProcessState & { points: Point[] })[];
  turns: Turn[];
}
