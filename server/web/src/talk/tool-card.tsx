/** A call of a tool: what it is given, how it goes, what it brings. */

import { useSay } from "../language";
import type { CallView } from "../thread/entries";
import type { Key } from "../strings";
import { Copy } from "./copy";
import { pretty, secondsWords, toolFailureWords } from "./words";

const PHASES: Record<CallView["phase"], Key> = {
  growing: "toolGrowing",
  called: "toolCalled",
  asked: "toolAsked",
  running: "toolRunning",
  done: "toolDone",
  failed: "toolFailed",
};

export function ToolCard({ call }: { call: CallView }) {
  const say = useSay();
  const args = call.phase === "growing" ? call.text : pretty(call.args);
  const state = call.failure ? toolFailureWords(say, call.failure) : say(PHASES[call.phase]);
  const about = [
    call.phase === "done" ? null : state,
    call.seconds !== null && secondsWords(say, call.seconds),
    call.cached && say("toolCached"),
    call.attempt > 1 && say("toolAttempt", { n: call.attempt }),
  ].filter(Boolean);
  return (
    <details className={`tool ${call.phase}`} aria-busy={call.phase === "running"}>
      <summary>
        <span className="mark" aria-hidden="true" />
        <span className="name">{call.name}</span>
        <code className="brief">{brief(call)}</code>
        <span className="faint">{about.join(" · ") || <span className="hidden">{state}</span>}</span>
      </summary>
      <Part title={say("toolArguments")} text={args} />
      {call.wrong && <p className="bad">{call.wrong}</p>}
      {call.output !== null && <Part title={say("toolResult")} text={pretty(call.output)} />}
    </details>
  );
}

function Part({ title, text }: { title: string; text: string }) {
  return (
    <section>
      <h3>
        {title} <Copy of={() => text} />
      </h3>
      <pre tabIndex={0}>{text}</pre>
    </section>
  );
}

/** The arguments in one line. */
function brief({ args, text, phase }: CallView): string {
  if (phase === "growing" || typeof args !== "object" || !args) return text;
  return Object.values(args).map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(", ");
}
