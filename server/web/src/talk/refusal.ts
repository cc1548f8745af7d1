import { useCallback, useState } from "react";

import { Problem } from "../api";
import { useSay } from "../language";
import { CommandRefused } from "../thread/commands";

export type Attempt = <T>(act: () => Promise<T>) => Promise<T>;

/** Does something, and keeps in words why the service would not: until the next attempt. */
export function useRefusal(): [words: string | null, attempt: Attempt] {
  const say = useSay();
  const [refusal, setRefusal] = useState<unknown>(null);
  const attempt = useCallback<Attempt>(async (act) => {
    setRefusal(null);
    try {
      return await act();
    } catch (error) {
      setRefusal(error);
      throw error;
    }
  }, []);
  if (refusal === null) return [null, attempt];
  if (refusal instanceof Problem) return [say("noSuch", { why: refusal.detail }), attempt];
  if (refusal instanceof CommandRefused) return [say("noSuch", { why: refusal.message }), attempt];
  return [say("serviceAway"), attempt];
}
