/** Whether a model can be asked again after an answer of the offline model, and when. */

import type { Route } from "../thread/state";
import type { Model } from "./catalogue";

export type Outlook =
  | { kind: "unconfigured" }
  /** The reader wanted the offline model. */
  | { kind: "wanted" }
  | { kind: "unknown" }
  | { kind: "back"; seconds: number };

const OFFLINE = "offline";
const LATER = 15; // seconds that a breaker is taken to need when it does not say

export function outlookOf(all: Model[], route: Route, useFallback: boolean): Outlook {
  const models = all.filter((model) => model.name !== OFFLINE);
  if (!models.some((model) => model.configured)) return { kind: "unconfigured" };
  if (!route.degraded && !route.reason) return { kind: "wanted" };
  // Where no other model was to be asked, only those that were count.
  const wasTried = (model: Model) => route.tried.some((attempt) => attempt.model === model.name);
  const asked = models.filter((model) => (useFallback ? model.configured : wasTried(model)));
  if (!asked.length) return { kind: "unknown" };
  const waits = asked.map((model) => (model.circuit === "open" ? (model.retry_after ?? LATER) : 0));
  return { kind: "back", seconds: Math.min(...waits) };
}
