import { useSay } from "../language";

export default function Now() {
  const say = useSay();
  return <p>{say("now")}</p>;
}
