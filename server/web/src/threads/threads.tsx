import { useSay } from "../language";

export function Threads({ current }: { current: string | null }) {
  const say = useSay();
  return <p>{current ?? say("threads")}</p>;
}
