import { useSay } from "../language";
import { useFormat } from "./format";
import type { Process } from "./shape";
import { Table } from "./table";

export function Processes({ processes }: { processes: Process[] }) {
  const say = useSay();
  const { count, rate, seconds, bytes, clock } = useFormat();
  return (
    <Table title={say("nowProcesses")} none="" rows={processes} keyOf={({ id }) => id}
      columns={[
        { name: say("nowProcess"), cell: ({ name, answers }) => <>{name} {answers && <small className="faint">{say("nowAnswers")}</small>}</> },
        {
          name: say("nowHeartbeat"),
          cell: ({ alive, heartbeat_age }) => alive
            ? say("nowAgo", { time: seconds(heartbeat_age) })
            : <span className="bad">{say("nowSilent", { time: seconds(heartbeat_age) })}</span>,
        },
        { name: say("nowRunning"), number: true, cell: ({ figures }) => count(figures.running) },
        { name: say("nowTurnsPerSecond"), number: true, minor: true, cell: ({ figures }) => rate(figures.turns_per_second) },
        { name: say("nowMemory"), number: true, minor: true, cell: ({ memory }) => bytes(memory) },
        { name: say("nowLag"), number: true, minor: true, cell: ({ loop_lag }) => seconds(loop_lag) },
        { name: say("nowStarted"), number: true, minor: true, cell: ({ started_at }) => clock(started_at) },
      ]}
    />
  );
}
