// `useStream`, on which agent-chat-ui and its like are built, as a page would use it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, describe, it } from "node:test";
import { createElement } from "react";
import { create } from "react-test-renderer";
import { useStream as useStream1 } from "sdk-v1/react";
import { useStream as useStream2 } from "sdk-v2/react";
import { until, url } from "./service.js";

globalThis.IS_REACT_ACT_ENVIRONMENT = false;

// What renders without a browser says with each page that it is deprecated.
const { error } = console;
console.error = (said, ...more) => /deprecated/.test(said) || error(said, ...more);

/** A page that shows nothing and keeps its thread in the address; `stream` is what it last got. */
class Page {
  created = [];

  constructor(useStream, { threadId = null, ...options } = {}) {
    const Shown = (props) => {
      this.stream = useStream({
        apiUrl: url,
        apiKey: null,
        assistantId: "toy",
        fetchStateHistory: true,
        onCreated: (run) => this.created.push(run),
        onError: (error) => (this.error = error),
        ...options,
        ...props,
      });
      void this.stream.messages; // asks for tokens, as a page that shows them does
      return null;
    };
    const show = (id) => {
      this.threadId = id;
      return createElement(Shown, { threadId: id, onThreadId: (made) => this.root.update(show(made)) });
    };
    this.root = create(show(threadId));
  }

  close() {
    this.root.unmount();
  }

  async idle() {
    await until("the page idle", () => this.stream && !this.stream.isLoading && !this.stream.isThreadLoading);
  }

  async submit(values, options) {
    const before = this.created.length;
    await this.stream.submit(values, { streamMode: ["values"], streamSubgraphs: true, streamResumable: true, ...options });
    await until("a run", () => this.created.length > before);
    await this.idle();
  }

  /** What agent-chat-ui does with each message. */
  async send(words, more = {}) {
    const messages = [{ id: randomUUID(), type: "human", content: [{ type: "text", text: words }] }];
    const optimisticValues = (prev) => ({ ...prev, messages: [...(prev.messages ?? []), ...messages] });
    await this.submit({ messages, words, context: undefined, ...more }, { optimisticValues });
  }

  answers() {
    return this.stream.messages.filter(({ type }) => type === "ai").map(({ content }) => content);
  }

  about(message) {
    return this.stream.getMessagesMetadata(message);
  }
}

for (const [version, useStream] of Object.entries({ "1.x": useStream1, "2.0.0": useStream2 })) {
  describe(`useStream, ${version}`, () => {
    let page;
    const open = async (options = {}) => {
      page = new Page(useStream, options);
      await until("rendered", () => page.stream);
      return page;
    };
    afterEach(() => page?.close());

    it("a first message makes a thread, and its answer is streamed", async () => {
      await open();
      await page.send("one two three");
      assert.deepEqual(page.created.map((run) => run.thread_id), [page.threadId]);
      assert.deepEqual(page.answers(), ["one two three"]);
      const { streamMetadata, firstSeenState } = page.about(page.stream.messages.at(-1));
      assert.equal(streamMetadata.langgraph_node, "think");
      assert(firstSeenState.parent_checkpoint.checkpoint_id);
    });

    it("a thread is opened again, and an answer made anew", async () => {
      await open();
      await page.send("first");
      const { threadId } = page;
      page.close();
      await open({ threadId });
      await until("shown", () => page.stream.messages.length === 2);
      const { firstSeenState } = page.about(page.stream.messages.at(-1));
      await page.submit(undefined, { checkpoint: firstSeenState.parent_checkpoint });
      assert.deepEqual(page.answers(), ["first"]);
      await until("both branches", () => page.about(page.stream.messages.at(-1)).branchOptions?.length === 2);
    });

    it("a question waits, and is answered", async () => {
      await open();
      await page.send("x", { ask: true });
      assert.deepEqual(page.stream.interrupt.value, { question: "sure?" });
      await page.submit(undefined, { command: { resume: "sure" } });
      assert.equal(page.stream.interrupt, undefined);
      assert.deepEqual(page.answers(), ["sure"]);
    });

    it("a second message waits for the first one's answer", async () => {
      await open();
      page.stream.submit({ words: "first", wait: 0.3 }, { streamMode: ["values"] });
      await until("begun", () => page.stream.values.steps?.length);
      page.stream.submit({ words: "second", wait: 0 }, { streamMode: ["values"] });
      await until("both", () => page.answers().length === 2);
      assert.deepEqual(page.answers(), ["first", "second"]);
      await page.idle();
    });

    it("a run that fails says why", async () => {
      await open();
      const silent = console.error;
      console.error = () => {};
      await page.send("x", { fail: true }).finally(() => (console.error = silent));
      assert.equal(page.error.message, "toy boom");
      await page.send("on we go", { fail: false });
      assert.deepEqual(page.answers(), ["on we go"]);
    });

    it("stop ends the run", async () => {
      await open();
      page.stream.submit({ wait: 30, words: "never" }, { streamMode: ["values"] });
      await until("created", () => page.created.length && page.stream.values.steps?.length);
      await page.stream.stop();
      const { thread_id: thread, run_id: run } = page.created[0];
      const status = async () => (await page.stream.client.runs.get(thread, run)).status;
      await until("interrupted", async () => (await status()) === "interrupted");
      assert.equal((await page.stream.client.threads.get(thread)).status, "interrupted");
    });

    it("a page that is loaded again finds its run", async () => {
      const kept = new Map();
      const storage = {
        getItem: (key) => kept.get(key) ?? null,
        setItem: (key, value) => kept.set(key, value),
        removeItem: (key) => kept.delete(key),
      };
      globalThis.window = { sessionStorage: storage };
      try {
        await open({ reconnectOnMount: true });
        page.stream.submit({ wait: 0.5, words: "still here" }, { streamMode: ["values"] });
        await until("kept", () => kept.size);
        await until("begun", () => page.stream.values.steps?.length);
        const { threadId } = page;
        page.close();
        await open({ reconnectOnMount: true, threadId });
        await until("answered", () => page.answers().includes("still here"));
        await page.idle();
        assert.equal(kept.size, 0);
      } finally {
        delete globalThis.window;
      }
    });
  });
}
