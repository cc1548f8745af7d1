import { useSay } from "../language";
import type { Entry } from "../thread/entries";
import type { ThreadState } from "../thread/state";

/** That it works, where no word shows it; and for screen readers, what has become of it. */
export function Status({ state, entries }: { state: ThreadState; entries: Entry[] }) {
  const say = useSay();
  const last = entries.at(-1);
  const speaks = last?.kind === "message" && last.drawn.open && last.drawn.text.length > 0;
  const busy = state.phase === "busy";
  const words = { idle: say("answered"), busy: say("answering"), waiting: say("waitsForYou"), failed: say("runFailed") };
  return (
    <>
      {busy && !speaks && <p className="working faint" aria-hidden="true">{say("answering")}</p>}
      <p className="hidden" role="status">
        {state.run && words[state.phase]}
      </p>
    </>
  );
}
