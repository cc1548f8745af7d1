/** What has changed between two states. */

import { useMemo } from "react";

import { useSay } from "../../language";
import { type Change, type Values, difference } from "./difference";
import { ValueView } from "./value-view";

const KINDS = { added: "graphAdded", removed: "graphRemoved", changed: "graphChanged" } as const;
const SIGNS = { added: "+", removed: "−", changed: "~" } as const;

export function ChangeView({ before, after }: { before: Values; after: Values }) {
  const say = useSay();
  const changes = useMemo(() => difference(before, after), [before, after]);
  if (!changes.length) return <p className="faint">{say("graphNoChange")}</p>;
  return (
    <ul className="changes">
      {changes.map((change, index) => (
        <li key={index} className={change.kind}>
          <p><b aria-hidden="true">{SIGNS[change.kind]}</b> <code>{change.path}</code> <span className="faint">{say(KINDS[change.kind])}</span></p>
          <Sides change={change} />
        </li>
      ))}
    </ul>
  );
}

function Sides({ change }: { change: Change }) {
  return (
    <>
      {change.kind !== "added" && <del><ValueView value={change.before} /></del>}
      {change.kind !== "removed" && <ins><ValueView value={change.after} /></ins>}
    </>
  );
}
