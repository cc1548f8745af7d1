/** What changes in a picture while a run goes on, beside the layout, which stays. */

import { createContext, useContext } from "react";

import type { Points } from "./breakpoints";
import type { NodeActivity } from "./node-activity";

export interface Live {
  nodes: ReadonlyMap<string, NodeActivity>;
  /** How far the reader's clock is ahead of the service's, in ms. */
  ahead: number;
  glowing: ReadonlySet<string>;
  taken: Readonly<Record<string, number>>;
  points: Points;
  /** The nodes before which the thread has stopped. */
  stoppedBefore: readonly string[];
  selected: string | null;
  select: (path: string) => void;
  fold: (path: string) => void;
}

const nothing = () => undefined;

export const LiveContext = createContext<Live>({
  ...{ nodes: new Map(), ahead: 0, glowing: new Set<string>(), taken: {}, points: { before: [], after: [] } },
  ...{ stoppedBefore: [], selected: null, select: nothing, fold: nothing },
});

export const useLive = () => useContext(LiveContext);
