// A connection that breaks, or ends too early, costs LangGraph's client no event.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import http from "node:http";
import { describe, it } from "node:test";
import { clientOf, collect, url, versions } from "./service.js";

/** Passes requests on; an answer that is a stream loses all beyond `bytes`, once. */
class Cutter {
  seen = [];
  bytes = Infinity;
  cleanly = false;

  async open() {
    this.server = http.createServer((request, response) => this.#pass(request, response));
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }

  #pass(request, response) {
    this.seen.push({ method: request.method, url: request.url, last: request.headers["last-event-id"] });
    const { method, headers } = request;
    const onward = http.request(new URL(request.url, url), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      let left = Infinity;
      if (answer.headers["content-type"]?.startsWith("text/event-stream")) {
        left = this.bytes;
        this.bytes = Infinity;
      }
      answer.on("data", (data) => {
        if (left <= 0) return;
        response.write(data.subarray(0, left));
        left -= data.length;
        if (left > 0) return;
        if (this.cleanly) response.end();
        else setImmediate(() => response.destroy());
        answer.destroy();
      });
      answer.on("end", () => left > 0 && response.end());
      answer.on("error", () => {});
    });
    request.pipe(onward);
    onward.on("error", () => response.destroy());
  }
}

const options = {
  input: { words: "one two three four five", wait: 0.3 },
  streamMode: ["messages-tuple", "values"],
  streamSubgraphs: true,
  streamResumable: true,
  ifNotExists: "create",
};

async function throughCut(Client, bytes, cleanly) {
  const cutter = Object.assign(new Cutter(), { bytes, cleanly });
  const client = clientOf(Client, await cutter.open());
  try {
    const thread = randomUUID();
    let run;
    const onRunCreated = (made) => (run = made.run_id);
    const got = await collect(client.runs.stream(thread, "toy", { ...options, onRunCreated }));
    const whole = await collect(client.runs.joinStream(thread, run, { lastEventId: "-1" }));
    return { got, whole, seen: cutter.seen, place: `/threads/${thread}/runs/${run}` };
  } finally {
    cutter.close();
  }
}

for (const [version, Client] of Object.entries(versions)) {
  describe(`a resumable stream, ${version}`, { concurrency: true }, () => {
    for (const bytes of [150, 700, 1500, 4000]) {
      it(`cut after ${bytes} bytes`, async () => {
        const { got, whole, seen, place } = await throughCut(Client, bytes, false);
        assert.deepEqual(got, whole);
        assert(got.length > 10);
        const back = seen.find(({ method, url: path }) => method === "GET" && path.startsWith(`${place}/stream`));
        assert(back, JSON.stringify(seen));
      });
    }
  });
}

it("a stream that ends before its run is taken up again, 1.x", async () => {
  const { got, whole, seen, place } = await throughCut(versions["1.x"], 400, true);
  assert.deepEqual(got, whole);
  assert(seen.some(({ url: path }) => path === place), "asks how the run stands");
});
