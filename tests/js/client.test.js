// LangGraph's JavaScript client, every group of its methods, in both versions.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { clientOf, collect, said, until, versions } from "./service.js";

const MODES = [
  ...["values", "updates", "messages", "messages-tuple", "events"],
  ...["custom", "debug", "tasks", "checkpoints"],
];

for (const [version, Client] of Object.entries(versions)) {
  const client = clientOf(Client);
  const { assistants, threads, runs, store } = client;
  const newThread = async () => (await threads.create({ graphId: "toy" })).thread_id;

  describe(`assistants, ${version}`, () => {
    it("every graph has its own", async () => {
      const found = await assistants.search({ graphId: "toy", metadata: { created_by: "system" } });
      assert.equal(found.length, 1);
      assert.deepEqual(await assistants.get(found[0].assistant_id), found[0]);
      assert.equal(await assistants.count({ graphId: "toy", metadata: { created_by: "system" } }), 1);
    });

    it("are made, changed, set back and deleted", async () => {
      const name = `mine ${version}`;
      const { assistant_id: id } = await assistants.create({
        graphId: "toy",
        name,
        metadata: { of: version },
        config: { tags: ["a"] },
      });
      const changed = await assistants.update(id, { metadata: { n: 2 }, description: "second" });
      assert.equal(changed.version, 2);
      const all = await assistants.getVersions(id);
      assert.deepEqual(all.map((each) => each.version), [2, 1]);
      assert.equal((await assistants.setLatest(id, 1)).version, 1);
      const page = await assistants.search({ name, limit: 1, includePagination: true });
      assert.equal(page.assistants[0].assistant_id, id);
      const values = await runs.wait(null, id, { input: { words: "mine" } });
      assert.deepEqual(said(values), ["mine"]);
      await assistants.delete(id);
      await assert.rejects(assistants.get(id), /404/);
    });

    it("are drawn, and say their schemas", async () => {
      const plain = await assistants.getGraph("toy");
      assert.deepEqual(plain.nodes.map((node) => node.id), ["__start__", "prepare", "inner", "__end__"]);
      const whole = await assistants.getGraph("toy", { xray: true });
      assert(whole.nodes.some((node) => node.id === "inner:think"));
      const schemas = await assistants.getSchemas("toy");
      assert("words" in schemas.input_schema.properties);
      const subgraphs = await assistants.getSubgraphs("toy", { recurse: true });
      assert.deepEqual(Object.keys(subgraphs), ["inner"]);
      assert.deepEqual(await assistants.getSubgraphs("toy", { namespace: "inner" }), subgraphs);
    });
  });

  describe(`threads, ${version}`, () => {
    it("are made, found, changed, copied and deleted", async () => {
      const mark = randomUUID();
      const threadId = randomUUID();
      const made = await threads.create({ threadId, metadata: { mark }, graphId: "toy", ttl: 60 });
      assert.equal(made.thread_id, threadId);
      assert.equal(made.metadata.graph_id, "toy");
      await assert.rejects(threads.create({ threadId, ifExists: "raise" }), /409/);
      assert.equal((await threads.create({ threadId, ifExists: "do_nothing" })).metadata.mark, mark);
      const changed = await threads.update(threadId, { metadata: { n: 1 } });
      assert.deepEqual(changed.metadata, { mark, n: 1, graph_id: "toy" });
      await runs.wait(threadId, "toy", { input: { words: "copied" } });
      const copy = await threads.copy(threadId);
      assert.deepEqual(said((await threads.getState(copy.thread_id)).values), ["copied"]);
      const found = await threads.search({ metadata: { mark }, sortBy: "created_at", sortOrder: "asc" });
      assert.deepEqual(found.map((each) => each.thread_id), [threadId, copy.thread_id]);
      assert.deepEqual(said(found[0].values), ["copied"]);
      assert.equal(await threads.count({ metadata: { mark }, status: "idle" }), 2);
      await threads.delete(threadId);
      await assert.rejects(threads.get(threadId), /404/);
    });

    it("begin with a state where supersteps say one", async () => {
      const { thread_id: id } = await threads.create({
        graphId: "toy",
        supersteps: [
          { updates: [{ values: { words: "given" }, asNode: "__input__" }] },
          { updates: [{ values: { words: "given", steps: ["prepared"] }, asNode: "prepare" }] },
        ],
      });
      const { values, next } = await threads.getState(id);
      assert.deepEqual([values.words, values.steps, next], ["given", ["prepared"], ["inner"]]);
    });

    it("have states that are read, travelled in and changed", async () => {
      const id = await newThread();
      await runs.wait(id, "toy", { input: { words: "one" } });
      const [last, before, ...earlier] = await threads.getHistory(id);
      assert.deepEqual([last.next, before.next], [[], ["inner"]]);
      assert.deepEqual(await threads.getHistory(id, { before: before.checkpoint, limit: 10 }), earlier);
      assert.deepEqual(await threads.getState(id, before.checkpoint), before);
      assert.deepEqual(await threads.getState(id, before.checkpoint.checkpoint_id), before);
      const { checkpoint } = await threads.updateState(id, {
        values: { words: "two" },
        checkpoint: before.checkpoint,
        asNode: "prepare",
      });
      const forked = await threads.getState(id);
      assert.equal(forked.checkpoint.checkpoint_id, checkpoint.checkpoint_id);
      assert.equal(forked.parent_checkpoint.checkpoint_id, before.checkpoint.checkpoint_id);
      assert.deepEqual(said(await runs.wait(id, "toy", { checkpoint })), ["two"]);
    });
  });

  describe(`runs, ${version}`, () => {
    it("every stream mode, with subgraphs", async () => {
      const id = await newThread();
      let run;
      const parts = await collect(
        runs.stream(id, "toy", {
          input: { words: "a b" },
          streamMode: MODES,
          streamSubgraphs: true,
          onRunCreated: (created) => (run = created),
        }),
      );
      assert.deepEqual(parts[0], { ...parts[0], event: "metadata", data: { run_id: run.run_id, attempt: 1 } });
      assert.equal(run.thread_id, id);
      const names = new Set(parts.map((part) => part.event.split("|")[0]));
      const partial = ["messages/metadata", "messages/partial"];
      const expected = new Set(["metadata", ...MODES.filter((mode) => mode !== "messages-tuple"), ...partial]);
      names.delete("messages/complete");
      assert.deepEqual(names, expected);
      assert(parts.some((part) => /^updates\|inner:/.test(part.event)));
      assert.deepEqual(said(parts.findLast((part) => part.event === "values").data), ["a b"]);
      assert(parts.every((part) => part.id === undefined));
      const events = parts.filter((part) => part.event === "events").map((part) => part.data);
      assert.deepEqual([events[0].event, events[0].name], ["on_chain_start", "toy"]);
      const doubles = events.filter(({ event, run_id }) => event === "on_chain_stream" && run_id === run.run_id);
      assert.deepEqual(doubles, []);
      assert.equal((await runs.get(id, run.run_id)).status, "success");
    });

    it("a node that fails", async () => {
      const id = await newThread();
      const parts = await collect(runs.stream(id, "toy", { input: { fail: true }, streamMode: "updates" }));
      assert.deepEqual(parts.at(-1).event, "error");
      assert.equal(parts.at(-1).data.error, "RuntimeError");
      await assert.rejects(runs.wait(id, "toy", { input: { fail: true } }), /toy boom/);
      const told = await runs.wait(id, "toy", { input: { fail: true }, raiseError: false });
      assert.equal(told.__error__.message, "toy boom");
      assert.equal((await threads.get(id)).status, "error");
    });

    it("in the background, joined, listed and deleted", async () => {
      const id = await newThread();
      const run = await runs.create(id, "toy", { input: { words: "late", wait: 0.1 } });
      assert(["pending", "running"].includes(run.status));
      assert.deepEqual(said(await runs.join(id, run.run_id)), ["late"]);
      const [listed] = await runs.list(id, { status: "success" });
      assert.equal(listed.run_id, run.run_id);
      assert.deepEqual(await runs.get(id, run.run_id), listed);
      const chosen = await runs.list(id, { select: ["run_id", "status"] });
      assert.deepEqual(chosen, [{ run_id: run.run_id, status: "success" }]);
      await runs.delete(id, run.run_id);
      await assert.rejects(runs.get(id, run.run_id), /404/);
    });

    it("keeps its steps, or only its end", async () => {
      for (const [checkpointDuring, steps] of [[true, 4], [false, 1]]) {
        const id = await newThread();
        await runs.wait(id, "toy", { input: { words: "x" }, checkpointDuring });
        assert.equal((await threads.getHistory(id)).length, steps);
      }
    });

    it("of a batch, each with its input", async () => {
      const asked = [{ words: "0" }, { words: "1" }];
      const made = await runs.createBatch(asked.map((input) => ({ assistantId: "toy", input })));
      assert.deepEqual(made.map((run) => run.kwargs.input), asked);
    });

    it("a stream joined late and from any event is the whole", async () => {
      const id = await newThread();
      const streamMode = ["messages-tuple", "values"];
      const { run_id: run } = await runs.create(id, "toy", {
        input: { words: "one two three", wait: 0.1 },
        streamMode,
        streamSubgraphs: true,
        streamResumable: true,
      });
      const whole = await collect(runs.joinStream(id, run, { lastEventId: "-1" }));
      assert.equal(new Set(whole.map((part) => part.id)).size, whole.length);
      assert(whole.length > 8);
      for (const [place, part] of whole.entries()) {
        const rest = await collect(runs.joinStream(id, run, { lastEventId: part.id }));
        assert.deepEqual(rest, whole.slice(place + 1));
      }
      const values = await collect(runs.joinStream(id, run, { lastEventId: "-1", streamMode: "values" }));
      assert.deepEqual(values, whole.filter((part) => /^values($|\|)/.test(part.event)));
      const both = await collect(runs.joinStream(id, run, { lastEventId: "-1", streamMode }));
      assert.deepEqual(both, whole.filter((part) => part.event !== "metadata"));
    });

    it("cancelled, waited for or not, undone or kept", async () => {
      for (const wait of [true, false]) {
        const id = await newThread();
        const { run_id: run } = await runs.create(id, "toy", { input: { wait: 30 } });
        await until("running", async () => (await runs.get(id, run)).status === "running");
        await runs.cancel(id, run, wait);
        await until("interrupted", async () => (await runs.get(id, run)).status === "interrupted");
        await assert.rejects(runs.cancel(id, run), /404/);
      }
      const id = await newThread();
      await runs.wait(id, "toy", { input: { words: "kept" } });
      const { run_id: run } = await runs.create(id, "toy", { input: { wait: 30, words: "undone" } });
      await until("running", async () => (await runs.get(id, run)).status === "running");
      await runs.cancel(id, run, true, "rollback");
      await assert.rejects(runs.get(id, run), /404/);
      assert.deepEqual(said((await threads.getState(id)).values), ["kept"]);
    });

    it("without a thread, rejoined", async () => {
      let run;
      const options = { input: { words: "a b" }, streamResumable: true, onRunCreated: (made) => (run = made) };
      const whole = await collect(runs.stream(null, "toy", options));
      assert.equal(run.thread_id, undefined);
      assert.deepEqual(await collect(runs.joinStream(null, run.run_id, { lastEventId: "-1" })), whole);
    });

    it("left by the one who joined, cancelled where that was asked", async () => {
      const id = await newThread();
      const { run_id: run } = await runs.create(id, "toy", { input: { wait: 30 } });
      const leave = new AbortController();
      const options = { lastEventId: "-1", cancelOnDisconnect: true, signal: leave.signal };
      const joined = runs.joinStream(id, run, options);
      assert.equal((await joined.next()).value.event, "metadata");
      leave.abort();
      await joined.next().catch(() => {});
      await until("interrupted", async () => (await runs.get(id, run)).status === "interrupted");
    });

    it("interrupted, answered, changed and sent elsewhere", async () => {
      const id = await newThread();
      const asked = await runs.wait(id, "toy", { input: { ask: true } });
      assert.deepEqual(asked.__interrupt__[0].value, { question: "sure?" });
      const thread = await threads.get(id);
      assert.equal(thread.status, "interrupted");
      const [{ id: interrupt, value }] = asked.__interrupt__;
      assert.deepEqual(Object.values(thread.interrupts), [[{ id: interrupt, value }]]);
      const state = await threads.getState(id, undefined, { subgraphs: true });
      assert.deepEqual(state.tasks[0].state.next, ["think"]);
      const parts = await collect(runs.stream(id, "toy", { command: { resume: "sure" }, streamMode: "values" }));
      assert.deepEqual(said(parts.at(-1).data), ["sure"]);
      const command = { goto: "inner", update: { words: "gone there", ask: false } };
      assert.deepEqual(said(await runs.wait(id, "toy", { command })), ["sure", "gone there"]);
      const stopped = await runs.wait(id, "toy", {
        input: { words: "stopped" },
        interruptBefore: ["inner"],
      });
      assert.equal(stopped.messages.length, 2);
      assert.equal((await threads.get(id)).status, "interrupted");
      assert.equal((await runs.wait(id, "toy", { input: null })).messages.at(-1).content, "stopped");
    });

    it("two on one thread", async () => {
      const id = await newThread();
      const busy = { input: { wait: 30 } };
      const { run_id: first } = await runs.create(id, "toy", busy);
      const reject = { input: {}, multitaskStrategy: "reject" };
      await assert.rejects(runs.create(id, "toy", reject), /409/);
      const next = { input: { wait: 0, words: "next" }, multitaskStrategy: "interrupt" };
      assert.deepEqual(said(await runs.wait(id, "toy", next)), ["next"]);
      assert.equal((await runs.get(id, first)).status, "interrupted");
    });

    it("what is wrong is said", async () => {
      await assert.rejects(runs.wait(null, "nobody", { input: {} }), /422.*nobody/);
      await assert.rejects(runs.wait(randomUUID(), "toy", { input: {} }), /404/);
      await assert.rejects(collect(runs.stream(null, "toy", { input: {}, streamMode: "loud" })), /422/);
    });
  });

  it(`crons, ${version}`, async () => {
    const { crons } = client;
    const id = await newThread();
    const schedule = "0 0 29 2 *";
    const made = await crons.createForThread(id, "toy", { schedule, input: { words: "leap" } });
    const { cron_id: cron } = await crons.create("toy", { schedule, metadata: { version }, enabled: false });
    const [found] = await crons.search({ threadId: id });
    assert.deepEqual([found.cron_id, found.schedule, found.payload.input], [made.cron_id, schedule, { words: "leap" }]);
    assert((await crons.count({ assistantId: found.assistant_id })) >= 2);
    const changed = await crons.update(cron, { schedule: "0 12 * * *", enabled: true });
    assert.deepEqual([changed.schedule, changed.enabled], ["0 12 * * *", true]);
    for (const each of [cron, made.cron_id]) await crons.delete(each);
    assert.deepEqual(await crons.search({ threadId: id }), []);
  });

  it(`the store, ${version}`, async () => {
    const place = ["js", version.replaceAll(".", "-"), randomUUID()];
    await store.putItem(place, "a", { n: 1 });
    await store.putItem([...place, "deep"], "b", { n: 2 }, { ttl: 5 });
    const item = await store.getItem(place, "a");
    assert.deepEqual([item.value, item.namespace], [{ n: 1 }, place]);
    assert.equal(item.createdAt, item.created_at);
    const { items } = await store.searchItems(place, { filter: { n: 2 } });
    assert.deepEqual(items.map((each) => each.key), ["b"]);
    const { namespaces } = await store.listNamespaces({ prefix: place });
    assert.deepEqual(namespaces.sort(), [place, [...place, "deep"]].sort());
    await store.deleteItem(place, "a");
    assert.equal(await store.getItem(place, "a"), null);
  });
}
