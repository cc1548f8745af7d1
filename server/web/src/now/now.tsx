/** Place 4: what the service does at this moment. */

import { useEffect, useState } from "react";

import { useSay } from "../language";
import { useValue } from "../store";
import "../style/now.css";
import { Charts } from "./charts";
import { Figures } from "./figures";
import { Breakers, Models } from "./models";
import { Processes } from "./processes";
import type { Process } from "./shape";
import type { Seen } from "./state";
import { Tools } from "./tools";
import { Turns } from "./turns";
import { seen, status, watch } from "./watch";

export default function Now() {
  const say = useSay();
  const standing = useValue(status);
  const shown = useValue(seen);
  useEffect(watch, []);
  if (standing === "refused") return <p className="now-said">{say("nowRefused")}</p>;
  if (standing === "absent") return <p className="now-said">{say("nowAbsent")}</p>;
  return (
    <div className="now">
      <p className="now-away" role="status">{standing === "away" && say("away")}</p>
      {shown ? <Board seen={shown} /> : <p className="faint">{say("loading")}</p>}
    </div>
  );
}

function Board({ seen: { figures, lines, models, breakers, tools, processes, turns } }: { seen: Seen }) {
  const say = useSay();
  const [chosen, choose] = useState("");
  const one = processes.find(({ id }) => id === chosen);
  return (
    <>
      <div className="now-head">
        <h2>{say("nowTitle")}</h2>
        {processes.length > 1 && <Chooser processes={processes} chosen={one?.id ?? ""} choose={choose} />}
      </div>
      <Figures figures={one?.figures ?? figures} />
      <Charts lines={one?.lines ?? lines} />
      <Models models={models} />
      <Breakers breakers={breakers} models={models} />
      <Tools tools={tools} />
      <Processes processes={processes} />
      <Turns turns={turns} />
    </>
  );
}

interface ChooserProps {
  processes: Process[];
  chosen: string;
  choose: (id: string) => void;
}

function Chooser({ processes, chosen, choose }: ChooserProps) {
  const say = useSay();
  return (
    <label>
      {say("nowProcess")}{" "}
      <select value={chosen} onChange={({ target }) => choose(target.value)}>
        <option value="">{say("nowAll")}</option>
        {processes.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
      </select>
    </label>
  );
}
