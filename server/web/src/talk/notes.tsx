/** What happened on the way to an answer: thin lines, words that were taken back, failures. */

import { memo } from "react";

import { useSay } from "../language";
import { useValue } from "../store";
import { chosen } from "../thread/settings";
import type { Asked, Failure, Taken, Unanswered } from "../thread/state";
import { drawn } from "../thread/drawn";
import { catalogue } from "./catalogue";
import { failureWords } from "./words";

export const FallbackLine = memo(function FallbackLine({ line }: { line: Asked }) {
  const say = useSay();
  const configured = useValue(catalogue).filter((model) => model.configured && model.name !== "offline").length;
  const wished = useValue(chosen).models.length;
  const all = wished > 1 ? wished : configured;
  const { from, attempt: n } = line;
  const why = failureWords(say, line.reason, line.seconds);
  const to = line.to === "offline" ? say("offlineModel") : line.to;
  const words =
    to === null
      ? say("lineStopped", { from, why })
      : line.kind === "retry"
        ? say("lineRetry", { from, why })
        : line.to !== "offline" && n <= all
          ? say("lineFallback", { from, why, to, n, all })
          : say("lineFallbackShort", { from, why, to });
  return <p className={`line ${line.kind}`}>{words}</p>;
});

export const TakenBack = memo(function TakenBack({ taken }: { taken: Taken }) {
  const say = useSay();
  const model = taken.model ?? say("aModel");
  const why = failureWords(say, taken.reason);
  const words = taken.text.length > 0 || taken.calls === 0;
  return (
    <details className="taken">
      <summary>
        {words
          ? say(taken.model === null ? "takenWordsOnly" : "takenWords", { n: taken.text.length, model, why })
          : say("takenCalls", { n: taken.calls, model, why })}
      </summary>
      <p>
        <del>{taken.text}</del>
      </p>
    </details>
  );
});

export function NoAnswer({ entry, ask }: { entry: Unanswered; ask: (text: string) => void }) {
  const say = useSay();
  const { text } = drawn(entry.message);
  return (
    <article className="message human unanswered" aria-label={say("you")}>
      <div className="bubble plain">{text}</div>
      <p className="faint">
        {say("notAnswered")} <button className="quiet small" onClick={() => ask(text)}>{say("askAgain")}</button>
      </p>
    </article>
  );
}

export function RunFailed({ failure }: { failure: Failure }) {
  const say = useSay();
  return (
    <p className="failure" role="alert">
      <strong>{say("runFailed")}</strong> {failure.error}
    </p>
  );
}
