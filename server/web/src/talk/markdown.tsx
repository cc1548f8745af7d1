import { Suspense, lazy } from "react";

import { pieces } from "./pieces";

const load = () => import("./markdown-text");
const MarkdownText = lazy(load);
void load(); // while the reader thinks of what to ask

/** A text in Markdown. While it grows only its last piece is read again. */
export function Markdown({ text, open }: { text: string; open: boolean }) {
  const parts = open ? pieces(text) : [text];
  return (
    <div className="markdown">
      {parts.map((part, i) => (
        <Suspense key={i} fallback={<p className="plain">{part}</p>}>
          <MarkdownText text={part} />
        </Suspense>
      ))}
    </div>
  );
}
