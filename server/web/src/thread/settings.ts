/** What the reader has chosen for the next run: kept in the browser. */

import { create } from "../store";
import { local } from "../stored";

export type Prefer = "order" | "cheapest" | "fastest" | "health";

export interface Chosen {
  assistantId: string;
  /** Asked first, in this order; empty: as the service is set up. */
  models: string[];
  prefer: Prefer;
  freeOnly: boolean;
  useFallback: boolean;
  useTools: boolean;
  /** The only tools that may be called; null: all there are. */
  tools: string[] | null;
}

const STORED = "everturn.chosen";

export const DEFAULTS: Chosen = {
  assistantId: "agent",
  models: [],
  prefer: "order",
  freeOnly: false,
  useFallback: true,
  useTools: true,
  tools: null,
};

export const chosen = create<Chosen>(first());

function first(): Chosen {
  try {
    return { ...DEFAULTS, ...JSON.parse(local.getItem(STORED) ?? "{}") };
  } catch {
    return DEFAULTS;
  }
}

export function choose(change: Partial<Chosen>): void {
  chosen.update((before) => ({ ...before, ...change }));
  local.setItem(STORED, JSON.stringify(chosen.get()));
}

/** The fields of the graph's context that differ from its own defaults. */
export function contextOf(choice: Chosen): Record<string, unknown> {
  return {
    ...(choice.models.length ? { model: choice.models } : {}),
    ...(choice.prefer !== "order" ? { prefer: choice.prefer } : {}),
    ...(choice.freeOnly ? { free_only: true } : {}),
    ...(choice.useFallback ? {} : { use_fallback: false }),
    ...(choice.useTools ? {} : { use_tools: false }),
    ...(choice.useTools && choice.tools ? { tools: choice.tools } : {}),
  };
}
