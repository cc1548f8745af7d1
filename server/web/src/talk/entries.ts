import { useMemo } from "react";

import { type Entry, entriesOf } from "../thread/entries";
import type { ThreadState } from "../thread/state";

/** What is drawn of a state. */
export const useEntries = (state: ThreadState): Entry[] => useMemo(() => entriesOf(state), [state]);
