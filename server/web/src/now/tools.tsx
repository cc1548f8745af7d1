import { useSay } from "../language";
import { useFormat } from "./format";
import { Failures } from "./models";
import type { Tool } from "./shape";
import { Table } from "./table";

export function Tools({ tools }: { tools: Tool[] }) {
  const say = useSay();
  const { count, seconds } = useFormat();
  return (
    <Table title={say("nowTools")} none={say("nowNoTools")} rows={tools} keyOf={({ name }) => name}
      columns={[
        { name: say("nowTool"), cell: ({ name }) => name },
        { name: say("nowCalls"), number: true, cell: ({ calls }) => count(calls) },
        { name: say("nowFailures"), cell: ({ failures }) => <Failures failures={failures} /> },
        { name: say("nowCacheHits"), number: true, minor: true, cell: ({ cache_hits }) => count(cache_hits) },
        { name: say("nowSlowest"), number: true, cell: ({ seconds_p95 }) => seconds(seconds_p95) },
      ]}
    />
  );
}
