/** Streams of the running service, recorded byte by byte: see tests/streams/README.md. */

import { type ProtocolEvent, readEvent } from "../src/protocol";
import { FrameParser } from "../src/wire";

const texts = import.meta.glob<string>("./streams/*.txt", { query: "?raw", import: "default", eager: true });

/** What was sent, with the empty line that ends its last frame. */
export const recordedText = (name: string): string => `${texts[`./streams/${name}.txt`]?.trimEnd()}\n\n`;

export function recorded(name: string): ProtocolEvent[] {
  return new FrameParser().take(recordedText(name)).map((frame) => readEvent(frame.data));
}
