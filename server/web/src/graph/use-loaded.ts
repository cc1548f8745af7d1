/** What a request has answered, for a component: again whenever its key changes. */

import { useEffect, useState } from "react";

export interface Loaded<T> {
  value: T | null;
  error: string | null;
}

const nothing = { value: null, error: null };

/**
 * `key` says what is loaded; null loads nothing. What was loaded before stays until the next is there.
 * With a `pause`, in ms, keys that change quickly are passed over.
 */
export function useLoaded<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, pause = 0): Loaded<T> {
  const [loaded, setLoaded] = useState<Loaded<T>>(nothing);
  useEffect(() => {
    if (key === null) return setLoaded(nothing);
    const left = new AbortController();
    const loading = pause ? later(pause).then(() => (left.signal.aborted ? nothing.value : load(left.signal))) : load(left.signal);
    loading.then(
      (value) => left.signal.aborted || setLoaded({ value, error: null }),
      (error: Error) => left.signal.aborted || setLoaded({ value: null, error: error.message }),
    );
    return () => left.abort();
    // `load` is another function at each drawing; the key alone says whether it asks for the same.
  }, [key]);
  return loaded;
}

const later = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
