/**
 * Cut a text that grows into pieces that no longer change and a last one that does: so that each new
 * word costs the reading of one paragraph, not of the whole answer.
 *
 * A piece ends at an empty line, outside of code, where what follows begins anew: no list that goes
 * on, no indented line.
 */
export function pieces(text: string): string[] {
  const found: string[] = [];
  let [start, at] = [0, 0];
  let fence = "";
  let blank = false;
  while (at < text.length) {
    const end = text.indexOf("\n", at);
    if (end < 0) break; // the last line may still grow into anything
    const line = text.slice(at, end);
    if (blank && !fence && startsAnew(line, text, end)) {
      found.push(text.slice(start, at));
      start = at;
    }
    fence = fenceAfter(line, fence);
    blank = line.trim() === "";
    at = end + 1;
  }
  found.push(text.slice(start));
  return found;
}

const CONTINUES = /^(\s|[-*+]\s|\d+[.)]|\[)/;

const startsAnew = (line: string, text: string, end: number) =>
  line.trim() !== "" && !CONTINUES.test(line) && end < text.length;

/** The fence of code that is open after a line: empty where none is. */
function fenceAfter(line: string, open: string): string {
  const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
  if (!mark) return open;
  if (!open) return mark;
  const closes = mark[0] === open[0] && mark.length >= open.length && line.trim() === mark;
  return closes ? "" : open;
}
