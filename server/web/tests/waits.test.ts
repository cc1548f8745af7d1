import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => undefined, removeItem: () => undefined });

import type { Interrupt, ProtocolEvent } from "../src/protocol";
import { opened, reduceAll } from "../src/thread/reducer";
import { EMPTY } from "../src/thread/state";
import { allowedFor, answerOf, decisionsOf, isDecided, questionOf, requestsOf, schemaOf, undecided } from "../src/talk/decisions";

const { refusalIn } = await import("../src/talk/answer");

const ours: Interrupt = {
  id: "i",
  value: {
    action_requests: [
      { id: "call_1", name: "send_mail", args: { to: "ada" }, description: "Send a mail." },
      { id: "call_2", name: "git_push", args: {} },
    ],
    review_configs: [
      { action_name: "send_mail", allowed_decisions: ["approve", "edit", "reject"] },
      { action_name: "git_push", allowed_decisions: ["reject", "approve", "respond"] },
    ],
  },
};
const requests = requestsOf(ours)!;

describe("calls that wait", () => {
  it("are read from the interrupt of our graphs, and of LangChain's middleware, which has no ids", () => {
    expect(requests.map(({ id, name }) => [id, name])).toEqual([["call_1", "send_mail"], ["call_2", "git_push"]]);
    expect(requestsOf({ id: "i", value: { action_requests: [{ name: "f", args: { a: 1 } }] } })).toEqual([{ name: "f", args: { a: 1 } }]);
  });

  it("are not seen in other interrupts", () => {
    for (const value of ["really?", null, [], { question: "?" }, { action_requests: [] }, { action_requests: "x" }]) {
      expect(requestsOf({ id: "i", value })).toBeNull();
    }
  });

  it("say what may be decided", () => {
    expect(allowedFor(ours, "git_push")).toEqual(["approve", "reject"]);
    expect(allowedFor(ours, "unknown")).toEqual(["approve", "edit", "reject"]);
  });
});

describe("decisions", () => {
  const choice = undecided(requests[0]!);

  it("name their calls, in the order of the calls", () => {
    const choices = [
      { ...choice, kind: "edit" as const, args: { to: "bob" } },
      { ...choice, kind: "reject" as const, reason: " not now " },
    ];
    expect(decisionsOf(requests, choices)).toEqual([
      { id: "call_1", type: "edit", edited_action: { name: "send_mail", args: { to: "bob" } } },
      { id: "call_2", type: "reject", message: "not now" },
    ]);
  });

  it("have no id where the call has none, and no reason where none is given", () => {
    const plain = [{ name: "f", args: {} }];
    expect(decisionsOf(plain, [{ ...choice, kind: "approve" }])).toEqual([{ type: "approve" }]);
    expect(decisionsOf(plain, [{ ...choice, kind: "reject", reason: " " }])).toEqual([{ type: "reject" }]);
  });

  it("are made once something is chosen, and an edit fits", () => {
    expect(isDecided(choice)).toBe(false);
    expect(isDecided({ ...choice, kind: "reject" })).toBe(true);
    expect(isDecided({ ...choice, kind: "edit", valid: false })).toBe(false);
  });
});

describe("other questions", () => {
  it("have words, and what else they hold", () => {
    expect(questionOf("Really?")).toEqual({ text: "Really?", rest: undefined });
    expect(questionOf({ question: "Do it?", draft: "x" })).toEqual({ text: "Do it?", rest: { draft: "x" } });
    expect(questionOf({ question: "Do it?", schema: { type: "string" } })).toEqual({ text: "Do it?", rest: undefined });
    expect(questionOf(7)).toEqual({ text: "", rest: 7 });
  });

  it("may carry the schema of their answer, in the value or beside it", () => {
    const schema = { type: "boolean" };
    expect(schemaOf({ id: "i", value: { schema } })).toEqual(schema);
    expect(schemaOf({ id: "i", value: "?", response_schema: schema })).toEqual(schema);
    expect(schemaOf({ id: "i", value: { schema: "no" } })).toBeNull();
  });

  it("are answered by JSON where it is JSON, else by text", () => {
    expect(answerOf("true")).toBe(true);
    expect(answerOf('{"a": [1]}')).toEqual({ a: [1] });
    expect(answerOf("42")).toBe(42);
    for (const text of ["yes, true", "{not json", "3 apples", "truely", ""]) expect(answerOf(text)).toBe(text);
  });
});

describe("an answer that does not fit", () => {
  const event = (method: string, data: unknown, run: string) =>
    ({ method, namespace: [], timestamp: 0, data, seq: null, run }) as ProtocolEvent;
  const error = "InvalidAnswer: What waits cannot be answered so: decisions: too short";
  const answer = [
    event("lifecycle", { event: "running" }, "b"),
    event("input.answered", { interrupt_ids: ["i"] }, "b"),
    event("lifecycle", { event: "failed", error }, "b"),
  ];

  it("is told apart from other failures", () => {
    expect(refusalIn(error)).toBe("decisions: too short");
    expect(refusalIn("InvalidAnswer: What waits cannot be answered so: : wrong")).toBe("wrong");
    expect(refusalIn("ValueError: no")).toBeNull();
    expect(refusalIn(undefined)).toBeNull();
  });

  it("leaves waiting what waited", () => {
    const asked = [event("lifecycle", { event: "running" }, "a"), event("input.requested", { interrupt_id: "i", payload: "?" }, "a")];
    const state = reduceAll(EMPTY, [...asked, event("lifecycle", { event: "interrupted" }, "a"), ...answer]);
    expect(state).toMatchObject({ phase: "waiting", interrupts: [{ id: "i", value: "?" }] });
  });

  it("leaves it after a reload, too: the stored state has it", () => {
    const stored = { values: { messages: [] }, interrupts: [ours] };
    const later = opened(reduceAll(EMPTY, answer), stored, "interrupted");
    const sooner = reduceAll(opened(EMPTY, stored, "interrupted"), answer);
    for (const state of [later, sooner]) expect(state).toMatchObject({ phase: "waiting", interrupts: [ours] });
  });
});
