/** A checkpoint of a thread, as its tree shows it. */

import type { CheckpointData } from "../../protocol";
import { momentOf } from "../moment";

export interface Checkpoint {
  id: string;
  parent: string | null;
  step: number;
  /** `input`, `loop` (a step has ended), `update` (somebody has edited the state), `fork`. */
  source: string;
  /** In ms since the epoch. */
  at: number | null;
  /** The nodes whose step made it. */
  made: readonly string[];
}

/** What of `POST /threads/{id}/history` the tree is made of. */
export interface ListedState {
  checkpoint_id: string;
  parent_checkpoint_id: string | null;
  metadata: { step?: number; source?: string } | null;
  created_at: string | null;
  made_by: string[];
}

/** The service reads no state for these. */
export const LISTED = ["checkpoint_id", "parent_checkpoint_id", "metadata", "created_at", "made_by"];

export function ofState(state: ListedState): Checkpoint {
  return {
    id: state.checkpoint_id,
    parent: state.parent_checkpoint_id,
    step: state.metadata?.step ?? -1,
    source: state.metadata?.source ?? "loop",
    at: state.created_at ? Date.parse(state.created_at) : momentOf(state.checkpoint_id),
    made: state.made_by,
  };
}

export function ofEvent(data: CheckpointData, made: readonly string[]): Checkpoint {
  const { id, parent_id, step, source } = data;
  return { id, parent: parent_id ?? null, step, source, at: momentOf(id), made };
}

/** Put new ones to those that are known. A checkpoint never changes. */
export function merge(known: ReadonlyMap<string, Checkpoint>, more: readonly Checkpoint[]): Map<string, Checkpoint> {
  const merged = new Map(known);
  for (const each of more) if (!merged.has(each.id)) merged.set(each.id, each);
  return merged;
}

/** The nodes whose step made a checkpoint; none of an input, and of what somebody has edited. */
export const madeBy = ({ source, made }: Checkpoint): readonly string[] =>
  source === "loop" ? made.filter((name) => name !== "__start__") : [];
