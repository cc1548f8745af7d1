/** From bytes to server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html says. */

export interface Frame {
  event: string;
  data: string;
  id: string | null;
}

/** Read the frames of a body, however it is cut into pieces. `heard` is called for each piece. */
export async function* frames(body: ReadableStream<Uint8Array>, heard?: () => void): AsyncGenerator<Frame> {
  const parser = new FrameParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard?.();
      yield* parser.take(decoder.decode(value, { stream: true }));
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Puts frames together from pieces of text. A line ends with LF, CR, or CRLF. */
export class FrameParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private id: string | null = null;
  private endedWithReturn = false;

  take(text: string): Frame[] {
    if (!text) return [];
    const more = this.endedWithReturn && text.startsWith("\n") ? text.slice(1) : text;
    this.endedWithReturn = text.endsWith("\r");
    // Only what is new can have an end of a line: a frame of megabytes comes in many pieces.
    const [first = "", ...others] = more.split(/\r\n|\r|\n/);
    const lines = [this.rest + first, ...others];
    this.rest = lines.pop() ?? "";
    return lines.map((line) => this.line(line)).filter((frame) => frame !== null);
  }

  private line(line: string): Frame | null {
    if (line === "") return this.finish();
    const colon = line.indexOf(":");
    if (colon === 0) return null; // a comment, which keeps the connection alive
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id" && !value.includes("\0")) this.id = value;
    return null;
  }

  private finish(): Frame | null {
    const frame = { event: this.event || "message", data: this.data.join("\n"), id: this.id };
    const empty = this.data.length === 0;
    this.event = "";
    this.data = [];
    return empty ? null : frame;
  }
}
