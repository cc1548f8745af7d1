import { useSay } from "../language";

export default function GraphPlace({ threadId }: { threadId: string | null }) {
  const say = useSay();
  return <p>{say("graph")} {threadId}</p>;
}
