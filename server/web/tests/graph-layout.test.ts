import { describe, expect, it } from "vitest";

import { backward } from "../src/graph/backward";
import { type Layout, layout } from "../src/graph/layout";
import { type Drawing, outline } from "../src/graph/outline";
import { pathOf } from "../src/graph/path";
import type { Box } from "../src/graph/side";
import agentDrawn from "./recorded/drawing-agent.json?raw";
import subgraphsDrawn from "./recorded/drawing-subgraphs.json?raw";

const agent: Drawing = JSON.parse(agentDrawn);
const subgraphs: Drawing = JSON.parse(subgraphsDrawn);

const overlap = (a: Box, b: Box) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

const nodesOf = ({ shapes }: Layout) => shapes.filter(({ kind, folded }) => kind !== "box" || folded);

describe("outline", () => {
  it("puts nodes of subgraphs into their boxes", () => {
    const { shapes } = outline(subgraphs);
    const parents = Object.fromEntries(shapes.map(({ path, parent }) => [path, parent]));
    expect(parents).toMatchObject({ "write:deep:draft": "write:deep", "write:deep": "write", write: null, plan: null });
    expect(shapes.filter(({ kind }) => kind === "box").map(({ name }) => name).sort()).toEqual(["deep", "write"]);
  });

  it("folds a box, and joins the lines that lead to it", () => {
    const { shapes, lines } = outline(subgraphs, new Set(["write"]));
    expect(shapes.map(({ path }) => path)).not.toContain("write:check");
    expect(shapes.find(({ path }) => path === "write")).toMatchObject({ kind: "box", folded: true });
    const line = lines.find(({ id }) => id === "search>write");
    expect(line?.edges).toEqual(["search>write:deep:draft"]);
    expect(lines.some(({ source, target }) => source === "write" && target === "write")).toBe(false);
  });

  it("keeps labels and what is conditional", () => {
    const line = outline(subgraphs).lines.find(({ id }) => id === "review>plan");
    expect(line).toMatchObject({ label: "better", conditional: true });
  });
});

describe("lines that lead back", () => {
  it("are found in the agent's graph", () => {
    const back = backward(outline(agent).lines, "__start__");
    expect(back).toEqual(new Set(["fallback_router>model", "tools>model", "offline>tools", "tools>tools"]));
  });

  it("leave a graph without a cycle, whatever the order of the edges", () => {
    for (const edges of [agent.edges, [...agent.edges].reverse(), subgraphs.edges]) {
      const { lines } = outline({ ...(edges === subgraphs.edges ? subgraphs : agent), edges });
      const back = backward(lines, "__start__");
      const on = lines.filter(({ id }) => !back.has(id));
      const left = new Set(on.flatMap(({ source, target }) => [source, target]));
      for (let gone = true; gone; ) {
        const targets = new Set(on.filter(({ source }) => left.has(source)).map(({ target }) => target));
        const free = [...left].filter((path) => !targets.has(path));
        for (const path of free) left.delete(path);
        gone = free.length > 0;
      }
      expect(left).toEqual(new Set());
    }
  });

  it("run beside all nodes, and are labelled", () => {
    for (const each of [agent, subgraphs]) {
      const placed = layout(outline(each), ({ target }) => `back to ${target}`);
      for (const route of placed.routes.filter(({ back, source, target }) => back && source !== target)) {
        expect(route.label).toBeTruthy();
        const { x } = route.labelAt;
        const beside = nodesOf(placed).every((box) => x < box.x || x > box.x + box.width);
        expect(beside, route.id).toBe(true);
      }
    }
  });

  it("do not cross nodes", () => {
    const placed = layout(outline(agent));
    for (const { points, source, target, back, id } of placed.routes) {
      if (!back) continue;
      const pieces = points.slice(1).map((to, index) => {
        const from = points[index] ?? to;
        const [x, y] = [Math.min(from.x, to.x), Math.min(from.y, to.y)];
        return { x, y, width: Math.abs(from.x - to.x), height: Math.abs(from.y - to.y) };
      });
      const others = nodesOf(placed).filter(({ path }) => path !== source && path !== target);
      expect(pieces.some((piece) => others.some((box) => overlap(piece, box))), id).toBe(false);
    }
  });
});

describe("layout", () => {
  it("lets no nodes overlap, and keeps them inside their boxes", () => {
    for (const folded of [new Set<string>(), new Set(["write"]), new Set(["write:deep"])]) {
      const placed = layout(outline(subgraphs, folded));
      const nodes = nodesOf(placed);
      const pairs = nodes.flatMap((a, index) => nodes.slice(index + 1).map((b) => [a, b] as const));
      expect(pairs.filter(([a, b]) => overlap(a, b))).toEqual([]);
      for (const { parent, ...box } of placed.shapes) {
        const around = placed.shapes.find(({ path }) => path === parent);
        if (!around) continue;
        expect(box.x).toBeGreaterThanOrEqual(around.x);
        expect(box.y + box.height).toBeLessThanOrEqual(around.y + around.height);
      }
    }
  });

  it("leads on from above to below", () => {
    for (const { points, back } of layout(outline(agent)).routes) {
      if (!back) expect(points.at(-1)?.y ?? 0).toBeGreaterThan(points[0]?.y ?? 0);
    }
  });

  it("has room for all of it", () => {
    const { box, shapes } = layout(outline(agent), () => "back to somewhere");
    for (const shape of shapes) {
      expect(shape.x).toBeGreaterThan(box.x);
      expect(shape.x + shape.width).toBeLessThan(box.x + box.width);
    }
  });

  it("draws a graph without nodes, and one that is cut off", () => {
    expect(layout(outline({ nodes: [], edges: [] })).routes).toEqual([]);
    const alone = { nodes: [{ id: "a" }, { id: "b" }], edges: [{ source: "a", target: "b" }] };
    expect(layout(outline(alone)).shapes).toHaveLength(2);
  });
});

describe("pathOf", () => {
  it("has round corners", () => {
    const points = [{ x: 0, y: 0 }, { x: 0, y: 100 }, { x: 50, y: 100 }];
    expect(pathOf(points)).toBe("M0,0L0,92Q0,100 8,100L50,100");
    expect(pathOf([])).toBe("");
  });
});
