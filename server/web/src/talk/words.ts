/** Failures, times and costs in plain words. */

import type { Say } from "../language";
import type { Route } from "../thread/state";
import { type Key, strings } from "../strings";

/** Why something failed: a class of failure of the service, or its own words. */
export function failureWords(say: Say, kind: string, seconds: number | null = null): string {
  if (kind === "the run has begun anew") return say("whyAnew");
  if (kind.startsWith("the run has ended")) return say("whyStopped");
  if (kind === "timeout" && seconds !== null) return say("failure_timeoutIn", { time: secondsWords(say, seconds) });
  const key = `failure_${kind}`;
  return key in strings ? say(key as Key) : kind;
}

/** Why a call of a tool failed: some classes mean another thing for a tool than for a model. */
export function toolFailureWords(say: Say, kind: string): string {
  const key = `toolFailure_${kind}`;
  return key in strings ? say(key as Key) : failureWords(say, kind);
}

/** Why no model answered: what became of each, or the service's own reason where it is another. */
export function reasonWords(say: Say, { tried, reason = "" }: Route): string {
  const last = tried.at(-1);
  if (!last || !reason.includes(last.message)) return reason;
  const newest = new Map(tried.map((attempt) => [attempt.model, attempt]));
  return [...newest.values()]
    .map(({ model, failure }) => say("attemptWords", { model, why: failureWords(say, failure) }))
    .join(", ");
}

/** `8 ms`, `1.3 s`, `20 s`, `2 min 5 s`: short times have more digits. */
export function secondsWords(say: Say, seconds: number): string {
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return say("timeSeconds", { n: String(Number(seconds.toFixed(1))) });
  const whole = Math.round(seconds);
  if (whole < 100) return say("timeSeconds", { n: whole });
  return say("timeMinutes", { min: Math.floor(whole / 60), s: whole % 60 });
}

/** US dollars, with as many digits as a small amount needs. */
export function costWords(cost: number): string {
  if (cost === 0) return "$0";
  const digits = cost >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(cost)));
  return `$${trimmed(cost.toFixed(digits))}`;
}

const trimmed = (number: string) => number.replace(/\.?0+$/, "");

/** JSON that a reader can read; text that is no JSON stays. */
export function pretty(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value, null, 2) ?? "";
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === "object" && parsed ? JSON.stringify(parsed, null, 2) : value;
  } catch {
    return value;
  }
}
