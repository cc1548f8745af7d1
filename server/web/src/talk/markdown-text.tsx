/** Markdown as React elements: loaded when the first answer is shown. No raw HTML, no pictures of others. */

import { type ReactNode, memo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkBreaks from "remark-breaks";
import remarkGfm from "remark-gfm";

import { Copy } from "./copy";

// Models, like people, write a new line where they want one.
const plugins = [remarkGfm, remarkBreaks];

const components: Components = {
  a: ({ href, children }) => <Away href={href}>{children}</Away>,
  // The content policy loads nothing of others: a picture is a link to it.
  img: ({ src, alt }) => <Away href={typeof src === "string" ? src : undefined}>{alt || src}</Away>,
  table: ({ children }) => (
    <div className="table" tabIndex={0}>
      <table>{children}</table>
    </div>
  ),
  pre: ({ children, node }) => (
    <div className="code">
      <Copy of={() => textIn(node)} label="copyCode" />
      <pre tabIndex={0}>{children}</pre>
    </div>
  ),
};

function Away({ href, children }: { href: string | undefined; children: ReactNode }) {
  // The page's own places are no footnotes; an unsafe address was emptied.
  if (!href || href.startsWith("#")) return <>{children}</>;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

interface Node {
  type: string;
  value?: string;
  children?: unknown[];
}

function textIn(node: unknown): string {
  const { value, children } = (node ?? {}) as Node;
  return value ?? (children ?? []).map(textIn).join("");
}

const MarkdownText = memo(function MarkdownText({ text }: { text: string }) {
  return (
    <ReactMarkdown remarkPlugins={plugins} components={components}>
      {text}
    </ReactMarkdown>
  );
});

export default MarkdownText;
