/** What was chosen for something that waits: kept while its card is away, as its answer is looked at. */

import { useState } from "react";

const drafts = new Map<string, unknown>();

/** A state of the card of an interrupt, which is there again when the card comes back. */
export function useDraft<T>(interruptId: string, first: () => T): [T, (next: T) => void] {
  const [draft, setDraft] = useState<T>(() => (drafts.has(interruptId) ? (drafts.get(interruptId) as T) : first()));
  return [
    draft,
    (next) => {
      drafts.set(interruptId, next);
      setDraft(next);
    },
  ];
}
