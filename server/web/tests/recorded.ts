/** Streams of the running service, recorded byte by byte: see tests/streams/README.md. */

import { type ProtocolEvent, readEvent } from "../src/protocol";
import { FrameParser } from "../src/wire";

const texts = import.meta.glob<string>("./streams/*.txt", { query: "?raw", import: "default", eager: true });

export function recorded(name: string): ProtocolEvent[] {
  const text = texts[`./streams/${name}.txt`];
  return new FrameParser().take(`${text}\n\n`).map((frame) => readEvent(frame.data));
}
