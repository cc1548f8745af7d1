import { useSay } from "../language";

export function Talk({ threadId }: { threadId: string | null }) {
  const say = useSay();
  return <p>{threadId ?? say("newThread")}</p>;
}
