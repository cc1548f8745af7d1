/** What is there beside the messages: a plan, who speaks, memories that were used. */

import { memo } from "react";

import { useSay } from "../language";
import { type Key, strings } from "../strings";

const SHOWN: [names: string[], title: Key][] = [
  [["plan", "steps", "todos"], "channelPlan"],
  [["asked", "speakers", "specialists", "team"], "channelSpeakers"],
  [["memories"], "channelMemories"],
];

interface Props {
  channels: Record<string, unknown>;
  /** Memories that joined the prompt, where the graph says so by an event. */
  memories: string[];
  /** The graph has no messages: all of its state is shown. */
  whole: boolean;
}

export const Channels = memo(function Channels({ channels, memories, whole }: Props) {
  const say = useSay();
  if (whole && Object.keys(channels).length) {
    return (
      <section className="channels" aria-label={say("channelState")}>
        <pre tabIndex={0}>{JSON.stringify(channels, null, 2)}</pre>
      </section>
    );
  }
  const all: Record<string, unknown> = { memories, ...channels };
  const found = SHOWN.flatMap(([names, title]) =>
    names.filter((name) => filled(all[name])).map((name) => ({ name, title, value: all[name] })),
  );
  if (!found.length) return null;
  return (
    <section className="channels">
      {found.map(({ name, title, value }) => (
        <details key={name} open={title === "channelPlan"}>
          <summary>{say(title)}</summary>
          <List value={value} />
        </details>
      ))}
    </section>
  );
});

const filled = (value: unknown) => (Array.isArray(value) ? value.length > 0 : value !== null && value !== undefined && value !== "");

function List({ value }: { value: unknown }) {
  const say = useSay();
  const list = Array.isArray(value) ? value : typeof value === "object" && value ? Object.entries(value) : [value];
  return (
    <ol>
      {list.map((each, i) => {
        const { status, result } = fieldsOf(each);
        const key = `step_${status}`;
        return (
          <li key={i} data-status={status}>
            {wordsOf(each)}
            {status && <span className="faint"> · {key in strings ? say(key as Key) : status}</span>}
            {result && <p className="faint plain">{result}</p>}
          </li>
        );
      })}
    </ol>
  );
}

/** Steps, memories and speakers are texts, or objects that have one. */
function wordsOf(each: unknown): string {
  if (typeof each === "string") return each;
  if (typeof each !== "object" || !each) return String(each);
  const said = each as Record<string, unknown>;
  const words = ["content", "text", "title", "description", "task", "name", "value"].map((key) => said[key]);
  const call = said.call as { name?: unknown } | undefined; // whom a team waits for
  const found = [...words, call?.name].find((word) => typeof word === "string");
  return typeof found === "string" ? found : JSON.stringify(each);
}

/** What a step of a plan says beside its text. */
function fieldsOf(each: unknown): { status?: string; result?: string } {
  const { status, result } = (typeof each === "object" && each ? each : {}) as Record<string, unknown>;
  return {
    ...(typeof status === "string" ? { status } : {}),
    ...(typeof result === "string" && result ? { result } : {}),
  };
}
