import { Suspense, lazy, useEffect, useLayoutEffect, useReducer, useRef } from "react";

import { Boundary } from "../shell/boundary";
import { pieces } from "./pieces";

const load = () => import("./markdown-text");
const MarkdownText = lazy(load);
void load(); // while the reader thinks of what to ask

const SHORT = 300; // characters that are read again with each word
const PLAIN = /^[^*_`#[\]<>|~\\&\n:@]*$/; // text in which no Markdown can be
const LISTED = /^\s*([-+=]|\d+[.)])|www\./;

/** A text in Markdown. While it grows only its last piece is read again, and not for each word. */
export function Markdown({ text, open }: { text: string; open: boolean }) {
  const parts = open ? pieces(text) : [text];
  const last = parts.length - 1;
  return (
    <div className="markdown">
      {parts.map((part, i) =>
        open && i === last ? <Growing key={i} text={part} /> : <Piece key={i} text={part} />,
      )}
    </div>
  );
}

function Piece({ text }: { text: string }) {
  const trimmed = text.trim();
  if (PLAIN.test(trimmed) && !LISTED.test(trimmed)) return <p>{trimmed}</p>;
  const plain = <p className="plain">{text}</p>;
  // Some texts cannot be read, such as quotes within thousands of quotes.
  return (
    <Boundary of={text} instead={plain}>
      <Suspense fallback={plain}>
        <MarkdownText text={text} />
      </Suspense>
    </Boundary>
  );
}

const SHARE = 4; // reading a piece again takes at most this part of the time

/** Milliseconds after which a longer piece is read again: the longer it takes, the more seldom. */
const patience = (text: string, took: number) => Math.max(Math.min(400, 60 + text.length / 8), took * SHARE);

function Growing({ text }: { text: string }) {
  const shown = useRef({ text, at: 0, took: 0 });
  const [, again] = useReducer((times: number) => times + 1, 0);
  const now = performance.now();
  const fresh = text.startsWith(shown.current.text) && text.length > SHORT && now - shown.current.at < patience(text, shown.current.took);
  if (!fresh) shown.current = { text, at: now, took: 0 };
  const behind = shown.current.text !== text;
  useLayoutEffect(() => {
    if (!fresh) shown.current.took = performance.now() - now;
  });
  useEffect(() => {
    if (!behind) return;
    const timer = setTimeout(again, patience(text, shown.current.took));
    return () => clearTimeout(timer);
  }, [behind, text]);
  return <Piece text={shown.current.text} />;
}
