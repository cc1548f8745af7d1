/** What is listed: by text, by graph, by status. */

import { useEffect, useState } from "react";

import { post } from "../api";
import { useSay } from "../language";
import { useValue } from "../store";
import type { Status } from "./list";
import { choose, filter } from "./loading";

const STATUSES: Status[] = ["idle", "busy", "interrupted", "error"];

export function Filters({ count }: { count: number }) {
  const say = useSay();
  const { text, graph, status } = useValue(filter);
  const graphs = useGraphs();
  return (
    <div className="filters" role="search" aria-label={say("filters")}>
      <input
        type="search"
        aria-label={say("searchTitles")}
        aria-describedby="searched"
        placeholder={say("searchTitles")}
        value={text}
        onChange={(event) => choose({ text: event.target.value })}
      />
      <select aria-label={say("graph")} value={graph} onChange={(event) => choose({ graph: event.target.value })}>
        <option value="">{say("allGraphs")}</option>
        {graphs.map((name) => <option key={name}>{name}</option>)}
      </select>
      <select
        aria-label={say("status")}
        value={status}
        onChange={(event) => choose({ status: event.target.value as Status | "" })}
      >
        <option value="">{say("allStatuses")}</option>
        {STATUSES.map((each) => <option key={each} value={each}>{say(each)}</option>)}
      </select>
      <p id="searched" className="faint" aria-live="polite">{text.trim() && say("searched", { count })}</p>
    </div>
  );
}

function useGraphs(): string[] {
  const [graphs, setGraphs] = useState<string[]>([]);
  useEffect(() => {
    const body = { limit: 1000, select: ["graph_id"] };
    post<{ graph_id: string }[]>("/assistants/search", body)
      .then((found) => setGraphs([...new Set(found.map((each) => each.graph_id))].sort()))
      .catch(() => undefined); // without them the other filters still work
  }, []);
  return graphs;
}
