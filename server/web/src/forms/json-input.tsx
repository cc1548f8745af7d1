/** A field for JSON as text. What cannot be read stays as it was typed, and is not valid. */

import { useId, useState } from "react";

import { useSay } from "../language";
import { Unreadable, equal } from "./value";

interface Props {
  label: string;
  value: unknown;
  onChange: (value: unknown) => void;
  hint?: string;
}

export function JsonInput({ label, value, onChange, hint }: Props) {
  const say = useSay();
  const id = useId();
  const [text, setText] = useState(() => written(value));
  // A value from outside is shown; one's own is not written anew while it is typed.
  const shown = value instanceof Unreadable || equal(read(text), value) ? text : written(value);
  const bad = value instanceof Unreadable;
  return (
    <div className="field">
      <label htmlFor={id}>{label || say("json")}</label>
      {hint && <p className="faint" id={`${id}-hint`}>{hint}</p>}
      <textarea
        id={id}
        className="json"
        rows={Math.min(12, Math.max(3, shown.split("\n").length))}
        spellCheck={false}
        value={shown}
        aria-invalid={bad}
        aria-describedby={bad ? `${id}-flaw` : hint ? `${id}-hint` : undefined}
        onChange={(event) => {
          setText(event.target.value);
          onChange(read(event.target.value));
        }}
      />
      {bad && <p className="bad" id={`${id}-flaw`}>{say("flawJson")}</p>}
    </div>
  );
}

const written = (value: unknown): string =>
  value instanceof Unreadable ? value.text : value === undefined ? "" : JSON.stringify(value, null, 2);

function read(text: string): unknown {
  if (!text.trim()) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return new Unreadable(text);
  }
}
