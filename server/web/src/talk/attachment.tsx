/** What a message holds beside its text: a picture that stands in it, or else a link to what it is. */

import { useSay } from "../language";
import { pictureIn, urlIn } from "./picture";

export function Attachment({ kind, value }: { kind: string; value: Record<string, unknown> }) {
  const say = useSay();
  const words = say("attachment", { kind });
  const picture = pictureIn(value);
  if (picture) return <img className="picture" src={picture} alt={words} />;
  const url = urlIn(value);
  if (!url || !/^https?:/.test(url)) return <p className="faint">{words}</p>;
  return (
    <a href={url} target="_blank" rel="noopener noreferrer nofollow">
      {words}
    </a>
  );
}
