/** Requests to the service that serves this page. */

import { authorization, needSignIn } from "./auth/session";
import { noted } from "./shell/connection";
import { type Frame, frames } from "./wire";

/** A refusal of the service: problem JSON (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    readonly type = "about:blank",
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

export interface Options {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Called when the service has accepted the request. */
  opened?: () => void;
  /** Called whenever something comes, be it only a heartbeat. */
  heard?: () => void;
}

/** Ask for JSON. Throws a `Problem` when the service refuses, a `TypeError` when it is away. */
export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, path, options);
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

export const get = <T>(path: string, options?: Options) => request<T>("GET", path, options);

export const post = <T>(path: string, body: unknown = {}, options?: Options) =>
  request<T>("POST", path, { ...options, body });

/** Ask for server-sent events. */
export async function* stream(
  method: string,
  path: string,
  options: Options = {},
): AsyncGenerator<Frame> {
  const headers = { Accept: "text/event-stream", ...options.headers };
  const response = await send(method, path, { ...options, headers });
  options.opened?.();
  if (response.body) yield* frames(response.body, options.heard);
}

/** Send a request, with the key where there is one. Addresses are relative: a prefix may be before them. */
export async function send(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...authorization(), ...options.headers };
  const init: RequestInit = { method, headers, cache: "no-store" };
  if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(options.body);
  }
  if (options.signal) init.signal = options.signal;
  const response = await noted(fetch(path.replace(/^\//, ""), init), options.signal);
  if (response.ok) return response;
  if (response.status === 401) needSignIn();
  throw await problemOf(response);
}

async function problemOf(response: Response): Promise<Problem> {
  const said = await response.json().catch(() => ({}));
  const detail = typeof said.detail === "string" ? said.detail : response.statusText;
  const wait = Number(response.headers.get("Retry-After") ?? NaN);
  return new Problem(response.status, detail, said.type, Number.isNaN(wait) ? null : wait);
}
