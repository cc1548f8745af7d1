/** A small line chart, with a legend that says its values and turns its lines on and off. */

import { useEffect, useId, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { theme } from "../shell/theme";
import { useValue } from "../store";
import { chartOptions } from "./chart-options";
import type { Column, Lines } from "./shape";

export interface Line {
  column: Column;
  name: string;
}

interface Props {
  title: string;
  lines: Lines;
  shown: Line[];
  format: (value: number | null) => string;
}

export function Chart({ title, lines, shown, format }: Props) {
  const id = useId();
  const [off, setOff] = useState<ReadonlySet<Column>>(new Set());
  const [place, setPlace] = useState<number | null>(null);
  const canvas = useCanvas(lines, shown, off, format, setPlace);
  const toggle = (column: Column) =>
    setOff((before) => {
      const next = new Set(before);
      if (!next.delete(column)) next.add(column);
      return next;
    });
  return (
    <figure className="now-chart" aria-labelledby={id}>
      <figcaption>
        <span id={id}>{title}</span>
        <span className="legend">
          {shown.map(({ column, name }, number) => (
            <button key={column} className={`quiet line-${number}`} aria-pressed={!off.has(column)} onClick={() => toggle(column)}>
              {name} <b>{format(valueAt(lines[column], place))}</b>
            </button>
          ))}
        </span>
      </figcaption>
      <div ref={canvas} aria-hidden="true" />
    </figure>
  );
}

/** The value under the pointer, or else the newest that is known. */
function valueAt(column: (number | null)[], place: number | null): number | null {
  return place === null ? (column.findLast((value) => value !== null) ?? null) : (column[place] ?? null);
}

/** Draws into an element: made anew for another theme, else given its new values. */
function useCanvas(
  lines: Lines,
  shown: Line[],
  off: ReadonlySet<Column>,
  format: Props["format"],
  point: (place: number | null) => void,
) {
  const element = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(format);
  latest.current = format;
  const dark = useValue(theme);
  const data: uPlot.AlignedData = [lines.time, ...shown.map(({ column }) => lines[column])];
  const given = useRef(data);
  given.current = data;

  useEffect(() => {
    const box = element.current;
    if (!box) return;
    const options = chartOptions(box.clientWidth, shown.length, (value) => latest.current(value), point);
    const made = new uPlot(options, given.current, box);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height: made.height }));
    resized.observe(box);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [dark, shown.length, point]);

  useEffect(() => plot.current?.setData(data), [lines]);

  useEffect(() => {
    shown.forEach(({ column }, number) => {
      const show = !off.has(column);
      if (plot.current?.series[number + 1]?.show !== show) plot.current?.setSeries(number + 1, { show });
    });
  }, [off, dark]);
  return element;
}

