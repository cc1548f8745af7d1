/** How this tab signs in: a key or a token that is kept for the tab, and sent as a header. */

import { create } from "../store";
import { session } from "../stored";

const STORED = "everturn.key";
const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds that a timer takes

interface Stored {
  /** A key of the service, or a token of an identity provider. */
  kind: "key" | "token";
  value: string;
  /** Milliseconds since 1970; null where nothing says when it ends. */
  until: number | null;
}

export type Reason = "needed" | "wrong" | "expired";

/** Why this tab has to sign in; null where it need not. */
export const signInNeeded = create<Reason | null>(null);

let held = read();
endInTime();

function read(): Stored | null {
  try {
    const stored = JSON.parse(session.getItem(STORED) ?? "null") as Stored | null;
    return stored && typeof stored.value === "string" ? stored : null;
  } catch {
    return null;
  }
}

export function authorization(): Record<string, string> {
  return held ? headersOf(held) : {};
}

/** A project's own `auth` may look for a key in either header. */
export const headersOf = ({ kind, value }: Pick<Stored, "kind" | "value">): Record<string, string> => ({
  Authorization: `Bearer ${value}`,
  ...(kind === "key" ? { "X-Api-Key": value } : {}),
});

export const isSignedIn = () => held !== null;

/** Keep a key or a token for this tab. `seconds` is how long a token is good. */
export function keep(kind: Stored["kind"], value: string, seconds: number | null = null): void {
  held = { kind, value: value.trim(), until: seconds === null ? null : Date.now() + seconds * 1000 };
  session.setItem(STORED, JSON.stringify(held));
  endInTime();
}

export function forgetKey(): void {
  held = null;
  session.removeItem(STORED);
}

/** A request was refused, 401: what this tab had is wrong or has ended, or it had nothing. */
export function needSignIn(): void {
  if (signInNeeded.get() !== null) return;
  const reason: Reason = held === null ? "needed" : held.kind === "token" ? "expired" : "wrong";
  forgetKey();
  signInNeeded.set(reason);
}

function endInTime(): void {
  const { until = null, value } = held ?? {};
  if (until === null) return;
  const left = Math.min(Math.max(0, until - Date.now()), LONGEST_TIMER);
  setTimeout(() => {
    if (held?.value === value && Date.now() >= until) needSignIn();
  }, left);
}

/** Everything that was loaded for who was here before goes, with all that follows it. */
export const loadAnew = () => location.reload();

export function signOut(): void {
  forgetKey();
  loadAnew();
}
