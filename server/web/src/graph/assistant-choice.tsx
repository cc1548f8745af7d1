/** Which assistant's graph is shown, and is asked in a new thread. */

import { useEffect } from "react";

import { post } from "../api";
import { useSay } from "../language";
import { useValue } from "../store";
import { choose, chosen } from "../thread/settings";
import type { Assistant } from "./use-assistant";
import { namesOf } from "./use-assistant";
import { useLoaded } from "./use-loaded";

const MOST = 100;

export function AssistantChoice() {
  const say = useSay();
  const { assistantId } = useValue(chosen);
  const found = useLoaded("assistants", (signal) => post<Assistant[]>("/assistants/search", { limit: MOST }, { signal }));
  const listed = found.value ?? [];
  const current = listed.find((each) => namesOf(each).includes(assistantId));
  // A project may have none that is called as the page's first choice.
  const instead = current ? undefined : listed[0];
  useEffect(() => {
    if (instead) choose({ assistantId: namesOf(instead).at(-1) ?? instead.assistant_id });
  }, [instead]);
  return (
    <label>
      {say("graphAssistant")}{" "}
      <select value={current?.assistant_id ?? ""} onChange={(event) => choose({ assistantId: nameFor(listed, event.target.value) })}>
        {!current && <option value="">{assistantId}</option>}
        {listed.map(({ assistant_id, name, graph_id }) => (
          <option key={assistant_id} value={assistant_id}>{name === graph_id ? name : `${name} (${graph_id})`}</option>
        ))}
      </select>
    </label>
  );
}

/** A graph's own assistant goes by the graph's name, as everywhere on the page. */
function nameFor(listed: readonly Assistant[], id: string): string {
  const found = listed.find(({ assistant_id }) => assistant_id === id);
  return found ? (namesOf(found).at(-1) ?? id) : id;
}
