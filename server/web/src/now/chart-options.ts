/** How charts look: colours and letters of the style sheet, thin lines, the time below. */

import uPlot from "uplot";

const HEIGHT = 120;
const together = uPlot.sync("now"); // the pointer stands at the same time in every chart

const clock = (unix: number) =>
  new Date(unix * 1000).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Where figures are rounded to the same, one of them is enough: the whole one. */
export const labels = (texts: string[]): string[] =>
  texts.map((text, at) => (at > 0 && (text === texts[at + 1] || text === texts[0]) ? "" : text));

function styles(): (name: string) => string {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

export function chartOptions(
  width: number,
  lines: number,
  format: (value: number | null) => string,
  point: (place: number | null) => void,
): uPlot.Options {
  const style = styles();
  const colours = [style("--accent"), style("--warn")];
  const axis: uPlot.Axis = {
    stroke: style("--ink-2"),
    grid: { stroke: style("--paper-3"), width: 1 },
    ticks: { show: false },
    font: `11px ${style("--letters")}`,
  };
  const line = (number: number): uPlot.Series => ({
    stroke: colours[number] ?? style("--ink"),
    width: 1.5,
    // A turn now and then gives points with nothing between them.
    spanGaps: true,
    points: { show: true, size: 3, width: 0, fill: colours[number] ?? style("--ink") },
    ...(number === 0 ? { fill: `${colours[0]}18` } : {}),
  });
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: together.key }, y: false, points: { size: 6 }, drag: { x: false } },
    scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      { ...axis, space: 60, size: 24, values: (_, ticks) => ticks.map(clock) },
      { ...axis, space: 28, size: 52, values: (_, ticks) => labels(ticks.map(format)) },
    ],
    series: [{}, ...Array.from({ length: lines }, (_, number) => line(number))],
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null)] },
  };
}
