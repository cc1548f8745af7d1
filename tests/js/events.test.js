// `useStream` of @langchain/react, over LangGraph's event protocol, as a page would use it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { useStream } from "@langchain/react";
import { createElement } from "react";
import { create } from "react-test-renderer";
import { StreamController } from "sdk-v1/stream";
import { clientOf, until, url, versions } from "./service.js";

globalThis.IS_REACT_ACT_ENVIRONMENT = false;

// What renders without a browser says with each page that it is deprecated.
const { error } = console;
console.error = (said, ...more) => /deprecated/.test(said) || error(said, ...more);

const folder = mkdtempSync(join(tmpdir(), "gates-"));
const gate = () => join(folder, randomUUID());
const open = (path) => writeFileSync(path, "");

/** A page that shows nothing; `stream` is what it last got. */
class Page {
  said = [];
  texts = new Set();

  constructor(transport, threadId, options = {}) {
    const Shown = () => {
      this.stream = useStream({ apiUrl: url, apiKey: null, assistantId: "gated", threadId, transport, ...options });
      this.said = this.stream.messages.map((each) => each.text.trim());
      this.texts.add(this.said.join(" | "));
      return null;
    };
    this.root = create(createElement(Shown));
  }

  async submit(values) {
    await this.until("the thread loaded", () => !this.stream.isThreadLoading);
    return this.stream.submit(values);
  }

  close() {
    this.root.unmount();
  }

  async send(words) {
    return this.submit({ messages: [{ type: "human", content: words }] });
  }

  async until(what, found) {
    await until(what, () => this.stream && found());
  }

  async shows(...said) {
    const all = JSON.stringify(said);
    await until(all, () => JSON.stringify(this.said) === all).catch((failed) => {
      assert.fail(`${failed.message}; it shows ${JSON.stringify(this.said)}, error: ${this.stream?.error}`);
    });
  }

  async idle() {
    await this.until("idle", () => !this.stream.isLoading && !this.stream.isThreadLoading);
    assert.equal(this.stream.error, undefined);
  }
}

for (const transport of ["sse", "websocket"]) {
  describe(`useStream of @langchain/react, ${transport}`, () => {
    const pages = [];
    const page = (threadId = randomUUID(), options) => {
      pages.push(new Page(transport, threadId, options));
      return pages.at(-1);
    };
    afterEach(() => {
      for (const each of pages.splice(0)) each.close();
    });

    it("shows words one by one", async () => {
      const [first, second] = [gate(), gate()];
      const shown = page();
      const done = shown.send(`one @${first} two @${second} three`);
      const asked = `one @${first} two @${second} three`;
      await shown.shows(asked, "one");
      assert(shown.stream.isLoading);
      open(first);
      await shown.shows(asked, "one two");
      open(second);
      await done;
      await shown.idle();
      await shown.shows(asked, "one two three");
    });

    it("one turn after another", async () => {
      const shown = page();
      await shown.send("one two");
      await shown.send("three");
      await shown.idle();
      await shown.shows("one two", "one two", "three", "three");
      assert.equal(shown.stream.values.messages.length, 4);
    });

    it("calls of tools, and their results", async () => {
      const shown = page();
      await shown.send("look here");
      await shown.idle();
      await shown.shows("look here", "", "seen: it", "here");
      const [call] = shown.stream.toolCalls;
      assert.deepEqual([call.name, call.args ?? call.input, call.status], ["look", { what: "it" }, "finished"]);
    });

    it("asks, and goes on with the answer", async () => {
      const shown = page();
      await shown.send("ask done");
      await shown.until("asked", () => shown.stream.interrupt);
      assert.deepEqual(shown.stream.interrupt.value, { question: "it" });
      await shown.idle();
      await shown.stream.respond("yes");
      await shown.idle();
      await shown.shows("ask done", "", "answered: yes", "done");
      assert.deepEqual(shown.stream.interrupts, []);
    });

    it("answers two that ask at once", async () => {
      const shown = page(undefined, { assistantId: "two" });
      await shown.send("go");
      await shown.until("both asked", () => shown.stream.interrupts.length === 2);
      await shown.idle();
      const answers = shown.stream.interrupts.map(({ id, value }) => [id, value.question]);
      await shown.stream.respondAll(Object.fromEntries(answers));
      await shown.idle();
      await shown.shows("go", "left: left?", "right: right?");
      assert.deepEqual(shown.stream.interrupts, []);
    });

    it("is closed in mid-answer, and opened again", async () => {
      const thread = randomUUID();
      const place = gate();
      const asked = `look one two @${place} three four`;
      const before = page(thread);
      void before.send(asked).catch(() => {});
      await before.shows(asked, "", "seen: it", "one two");
      before.close();
      const after = page(thread);
      await after.shows(asked, "", "seen: it", "one two");
      assert(after.stream.isLoading);
      open(place);
      await after.shows(asked, "", "seen: it", "one two three four");
      await after.idle();
      assert([...after.texts].every((text) => !/one two.*one two.*one two/.test(text)), [...after.texts]);
      assert.equal(after.stream.toolCalls.length, 1);
      const later = page(thread);
      await later.shows(asked, "", "seen: it", "one two three four");
      await later.send("more");
      await later.idle();
      await later.shows(asked, "", "seen: it", "one two three four", "more", "more");
    });

    it("is opened while it is asked", async () => {
      const thread = randomUUID();
      const before = page(thread);
      await before.send("ask done");
      await before.until("asked", () => before.stream.interrupt);
      before.close();
      const after = page(thread);
      await after.until("asked", () => after.stream.interrupt);
      await after.idle();
      await after.stream.respond("yes", { interruptId: after.stream.interrupt.id });
      await after.idle();
      await after.shows("ask done", "", "answered: yes", "done");
      assert.deepEqual(after.stream.interrupts, []);
    });

    it("two pages of one thread see each other's turns", async () => {
      const thread = randomUUID();
      const left = page(thread);
      await left.send("one");
      await left.idle();
      const right = page(thread);
      await right.shows("one", "one");
      const place = gate();
      const asked = `two @${place} three`;
      const done = right.send(asked);
      await left.shows("one", "one", asked, "two");
      assert(left.stream.isLoading);
      open(place);
      await done;
      const all = ["one", "one", asked, "two three"];
      for (const each of [left, right]) await each.shows(...all);
      await left.send("four");
      for (const each of [left, right]) await each.shows(...all, "four", "four");
      for (const each of [left, right]) await each.idle();
    });

    it("stops without an error, and goes on", async () => {
      const thread = randomUUID();
      const shown = page(thread);
      const asked = `one @${gate()} two`;
      const done = shown.send(asked);
      await shown.shows(asked, "one");
      const other = page(thread);
      await other.shows(asked, "one");
      await shown.stream.stop();
      await done;
      await shown.idle();
      const client = clientOf(versions["1.x"]);
      await until("cancelled", async () => (await client.runs.list(thread))[0].status === "interrupted");
      await other.idle();
      for (const each of [shown, other]) await each.shows(asked);
      await shown.send("three");
      await shown.idle();
      for (const each of [shown, other]) await each.shows(asked, "three", "three");
    });

    it("a run that fails says why", async () => {
      const shown = page(undefined, { assistantId: "toy" });
      await shown.submit({ fail: true });
      await shown.until("an error", () => shown.stream.error);
      assert.match(String(shown.stream.error), /toy boom/);
      assert(!shown.stream.isLoading);
    });

    it("words that are taken back leave nothing", async () => {
      const thread = randomUUID();
      const shown = page(thread, { assistantId: "agent" });
      await shown.send(`hello, ${transport}`);
      await shown.idle();
      await shown.shows(`hello, ${transport}`, "All of it.");
      const answer = (await clientOf(versions["1.x"]).threads.getState(thread)).values.messages.at(-1);
      assert.deepEqual(answer.response_metadata.route.tried.map((each) => each.failure), ["cut"]);
    });
  });
}

it("whoever follows sees that another one has answered, 1.15", async () => {
  const thread = randomUUID();
  const client = clientOf(versions["1.x"]);
  const follow = () => new StreamController({ assistantId: "gated", client, threadId: thread });
  const place = gate();
  const asks = (each) => each.rootStore.getSnapshot().interrupts.length;
  const one = follow();
  await one.submit({ messages: [{ type: "human", content: `ask @${place} done` }] });
  await until("asked", () => asks(one));
  const other = follow();
  await until("asked the other, too", () => asks(other));
  const done = one.respond("yes");
  await until("answered", () => !asks(one) && !asks(other));
  open(place);
  await done;
  await until("the answer", () => other.rootStore.getSnapshot().messages.at(-1).text.trim() === "done");
  for (const each of [one, other]) await each.dispose();
});
