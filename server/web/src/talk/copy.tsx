import { useEffect, useState } from "react";

import { useSay } from "../language";
import type { Key } from "../strings";

/** A button that copies a text, and says so for a moment. */
export function Copy({ of, label = "copy" }: { of: () => string; label?: Key }) {
  const say = useSay();
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button type="button" className="quiet small" aria-label={say(label)} onClick={() => void copy(of()).then(setDone)}>
      {say(done ? "copied" : "copy")}
    </button>
  );
}

async function copy(text: string): Promise<boolean> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => byHand(text));
  return byHand(text); // there is no clipboard over plain http, but for localhost
}

function byHand(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
