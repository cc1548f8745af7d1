/** LangGraph's event protocol, version 2, as this service speaks it: see docs/protocol.md. */

export interface Message {
  id: string | null;
  type: "human" | "ai" | "tool" | "system" | "remove";
  content: string | ContentBlock[];
  name?: string | null;
  tool_calls?: ToolCall[];
  tool_call_id?: string;
  status?: "success" | "error";
  artifact?: unknown;
  response_metadata?: Record<string, unknown>;
  additional_kwargs?: Record<string, unknown>;
  usage_metadata?: Usage | null;
}

export interface ContentBlock {
  type: string;
  text?: string;
  [field: string]: unknown;
}

export interface ToolCall {
  id: string | null;
  name: string;
  args: Record<string, unknown>;
}

export interface Usage {
  input_tokens: number;
  output_tokens: number;
  total_tokens: number;
}

export interface Interrupt {
  id: string;
  value: unknown;
  /** JSON Schema of the answer, where the graph gives one. */
  response_schema?: Record<string, unknown>;
}

export type MessageData =
  | { event: "message-start"; id: string; role: string; metadata?: Record<string, unknown> }
  | { event: "content-block-start"; message_id: string; index: number; content: ContentBlock }
  | { event: "content-block-delta"; message_id: string; index: number; delta: BlockDelta }
  | { event: "content-block-finish"; message_id: string; index: number; content: ContentBlock }
  | { event: "message-finish"; message_id: string; usage?: Usage; metadata?: Record<string, unknown> }
  | { event: "error"; message_id?: string; code?: string; message?: string };

export interface BlockDelta {
  type: string;
  text?: string;
  reasoning?: string;
  args?: string;
}

export type ToolData =
  | { event: "tool-started"; tool_call_id: string; tool_name: string; input: unknown }
  | { event: "tool-output-delta"; tool_call_id: string; delta: unknown }
  | { event: "tool-finished"; tool_call_id: string; output: unknown }
  | { event: "tool-error"; tool_call_id: string; message?: string; error?: string };

export interface TaskData {
  id: string;
  name: string;
  input?: unknown;
  triggers?: string[];
  metadata?: Record<string, unknown>;
  error?: string | null;
  result?: unknown;
  interrupts?: Interrupt[];
}

export interface CheckpointData {
  id: string;
  parent_id?: string;
  step: number;
  source: string;
}

export interface LifecycleData {
  event: "running" | "started" | "completed" | "failed" | "interrupted";
  error?: string;
  [field: string]: unknown;
}

interface Data {
  lifecycle: LifecycleData;
  messages: MessageData;
  tools: ToolData;
  tasks: TaskData;
  checkpoints: CheckpointData;
  values: Record<string, unknown>;
  updates: { node: string; values: unknown };
  custom: { name?: string; payload?: unknown };
  "input.requested": { interrupt_id: string; payload: unknown; response_schema?: Record<string, unknown> };
  "input.answered": { interrupt_ids: string[] };
}

/** One event. `run` is the run that it belongs to, where the event says so. */
export type ProtocolEvent = {
  [Method in keyof Data]: {
    method: Method;
    namespace: string[];
    timestamp: number;
    data: Data[Method];
    seq: number | null;
    run: string | null;
  };
}[keyof Data];

const RUN = /^(?:synth:)?([^.:]+)[.:]/;

/** Read one event from the JSON of its frame. */
export function readEvent(json: string): ProtocolEvent {
  const { event_id, seq, method, params } = JSON.parse(json);
  const run = RUN.exec(event_id ?? "")?.[1] ?? null;
  return { method, ...params, seq: seq ?? null, run } as ProtocolEvent;
}
