/** The tab's title says that something waits for an answer, also in a thread that is not open. */

import { useEffect } from "react";

import { useSay } from "../language";
import { useValue } from "../store";
import { waiting } from "../threads/loading";

export function useTitle(): void {
  const say = useSay();
  const count = useValue(waiting);
  useEffect(() => {
    const said = count === 1 ? say("waitsOne") : say("waitsSome", { count });
    document.title = count ? `● ${said} – Everturn` : "Everturn";
  }, [count, say]);
}
