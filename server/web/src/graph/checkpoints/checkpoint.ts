/** A checkpoint of a thread, as its tree shows it. */

import type { CheckpointData, Interrupt } from "../../protocol";
import { momentOf } from "../moment";

export interface Checkpoint {
  id: string;
  parent: string | null;
  step: number;
  /** `input`, `loop` (a step has ended), `update` (somebody has edited the state), `fork`. */
  source: string;
  /** In ms since the epoch. */
  at: number | null;
  /** The nodes that would run next. Null while it is not known. */
  next: readonly string[] | null;
  /** The nodes that have made it, where an event has said so. */
  made?: readonly string[];
}

/** What of `POST /threads/{id}/history` the tree is made of. */
export interface ListedState {
  checkpoint_id: string;
  parent_checkpoint_id: string | null;
  metadata: { step?: number; source?: string } | null;
  created_at: string | null;
  next: string[];
  interrupts: Interrupt[];
}

export const LISTED = ["checkpoint_id", "parent_checkpoint_id", "metadata", "created_at", "next", "interrupts"];

export function ofState(state: ListedState): Checkpoint {
  return {
    id: state.checkpoint_id,
    parent: state.parent_checkpoint_id,
    step: state.metadata?.step ?? -1,
    source: state.metadata?.source ?? "loop",
    at: state.created_at ? Date.parse(state.created_at) : momentOf(state.checkpoint_id),
    next: state.next,
  };
}

export function ofEvent(data: CheckpointData, made: readonly string[]): Checkpoint {
  const { id, parent_id, step, source } = data;
  return { id, parent: parent_id ?? null, step, source, at: momentOf(id), next: null, made };
}

/** Put new ones to those that are known: what the service lists knows more than an event. */
export function merge(known: ReadonlyMap<string, Checkpoint>, more: readonly Checkpoint[]): Map<string, Checkpoint> {
  const merged = new Map(known);
  for (const each of more) {
    const before = merged.get(each.id);
    if (!before || before.next === null) merged.set(each.id, { ...before, ...each });
  }
  return merged;
}

/** The nodes that have made a checkpoint: those that were next in the one before. */
export function madeBy(checkpoint: Checkpoint, all: ReadonlyMap<string, Checkpoint>): readonly string[] {
  if (checkpoint.source !== "loop") return [];
  const before = checkpoint.parent === null ? undefined : all.get(checkpoint.parent);
  return (before?.next ?? checkpoint.made ?? []).filter((name) => name !== "__start__");
}
