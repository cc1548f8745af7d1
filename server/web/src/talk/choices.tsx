/** Who answers: graph or assistant, models, tools. */

import { type ReactNode, useEffect, useRef } from "react";

import { useSay } from "../language";
import { useValue } from "../store";
import { choose, chosen } from "../thread/settings";
import { assistants, catalogue, loadAssistants, loadModels, loadTools, tools } from "./catalogue";
import { ModelChoice } from "./model-choice";

const quietly = (loading: Promise<unknown>) => void loading.catch(() => undefined);

export function Choices() {
  const say = useSay();
  const choice = useValue(chosen);
  const known = useValue(assistants);
  const allTools = useValue(tools);
  useEffect(() => {
    quietly(loadAssistants());
    quietly(loadModels());
    quietly(loadTools());
  }, []);
  const first = choice.models[0];
  const more = choice.models.length > 1 ? ` +${choice.models.length - 1}` : "";
  const toolsWords = !choice.useTools
    ? say("toolsOff")
    : choice.tools
      ? say("toolsSome", { n: choice.tools.length, all: allTools.length })
      : say("toolsOn");
  return (
    <div className="choices">
      <select
        aria-label={say("assistant")}
        value={choice.assistantId}
        onChange={(event) => choose({ assistantId: event.target.value })}
      >
        {!known.some((each) => isChosen(each, choice.assistantId)) && <option>{choice.assistantId}</option>}
        {known.map((each) => (
          <option key={each.assistant_id} value={isChosen(each, choice.assistantId) ? choice.assistantId : each.assistant_id}>
            {each.name === each.graph_id ? each.name : `${each.name} (${each.graph_id})`}
          </option>
        ))}
      </select>
      <Popup label={say("modelChoice", { name: first ? first + more : say("modelDefault") })} opened={() => quietly(loadModels())}>
        <ModelChoice models={useValue(catalogue)} />
      </Popup>
      <Popup label={toolsWords} opened={() => quietly(loadTools())}>
        <ToolChoice />
      </Popup>
    </div>
  );
}

/** An assistant is chosen by its id, or by the name of its graph. */
const isChosen = (each: { assistant_id: string; graph_id: string; name: string }, id: string) =>
  each.assistant_id === id || (each.graph_id === id && each.name === id);

function ToolChoice() {
  const say = useSay();
  const all = useValue(tools);
  const choice = useValue(chosen);
  const only = choice.tools ?? all.map((tool) => tool.name);
  const toggle = (name: string, on: boolean) => {
    const next = all.map((tool) => tool.name).filter((each) => (each === name ? on : only.includes(each)));
    choose({ tools: next.length === all.length ? null : next });
  };
  return (
    <>
      <Check label={say("useTools")} checked={choice.useTools} set={(useTools) => choose({ useTools })} />
      <fieldset disabled={!choice.useTools}>
        <legend className="hidden">{toolsLegend()}</legend>
        {all.map(({ name, description, health }) => (
          <Check
            key={name}
            label={name}
            hint={health === "healthy" ? firstSentence(description) : `${health}: ${firstSentence(description)}`}
            checked={only.includes(name)}
            set={(on) => toggle(name, on)}
          />
        ))}
      </fieldset>
    </>
  );

  function toolsLegend() {
    return say("useTools");
  }
}

const firstSentence = (text: string) => /^.*?[.!?](?=\s|$)/s.exec(text)?.[0] ?? text;

interface CheckProps {
  label: ReactNode;
  hint?: string;
  checked: boolean;
  set: (on: boolean) => void;
}

export function Check({ label, hint, checked, set }: CheckProps) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} onChange={(event) => set(event.target.checked)} />
      <span>
        {label}
        {hint && <span className="hint faint">{hint}</span>}
      </span>
    </label>
  );
}

/** Opens above its button; closes by Escape, and when something else is pressed. */
function Popup({ label, opened, children }: { label: string; opened: () => void; children: ReactNode }) {
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      if (box.current?.open && !box.current.contains(event.target as Node)) box.current.open = false;
    };
    document.addEventListener("pointerdown", close);
    return () => document.removeEventListener("pointerdown", close);
  }, []);
  return (
    <details
      className="popup"
      ref={box}
      onToggle={() => box.current?.open && opened()}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !box.current?.open) return;
        box.current.open = false;
        box.current.querySelector("summary")?.focus();
      }}
    >
      <summary className="button">{label}</summary>
      <div className="panel">{children}</div>
    </details>
  );
}
