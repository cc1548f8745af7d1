/** Which models are asked, and in which order. */

import { useState } from "react";

import { type Say, useSay } from "../language";
import { useValue } from "../store";
import { type Prefer, choose, chosen } from "../thread/settings";
import type { Key } from "../strings";
import type { Model } from "./catalogue";
import { Check } from "./choices";
import { secondsWords } from "./words";

const MOST = 30; // models of a long catalogue that are shown at once
const ORDERS: [Prefer, Key][] = [
  ["order", "preferOrder"],
  ["cheapest", "preferCheapest"],
  ["fastest", "preferFastest"],
  ["health", "preferHealth"],
];

export function ModelChoice({ models }: { models: Model[] }) {
  const say = useSay();
  const choice = useValue(chosen);
  const [filter, setFilter] = useState("");
  const wanted = filter.trim().toLowerCase();
  const fits = models.filter(({ name }) => name.toLowerCase().includes(wanted));
  const ordered = [...fits].sort((one, other) => rank(one) - rank(other));
  const shown = ordered.slice(0, MOST);
  const toggle = (name: string, on: boolean) => {
    const others = choice.models.filter((each) => each !== name);
    choose({ models: on ? [...others, name] : others });
  };

  function rank(model: Model): number {
    const place = choice.models.indexOf(model.name);
    return place >= 0 ? place : model.configured ? 1000 : 2000;
  }

  return (
    <>
      {models.length > MOST && (
        <input type="search" aria-label={say("modelFilter")} placeholder={say("modelFilter")} value={filter} onChange={(event) => setFilter(event.target.value)} />
      )}
      <fieldset>
        <legend className="hidden">{say("model")}</legend>
        <Check label={say("modelDefault")} checked={choice.models.length === 0} set={() => choose({ models: [] })} />
        {shown.map((model) => (
          <Check
            key={model.name}
            label={labelOf(model)}
            hint={about(say, model)}
            checked={choice.models.includes(model.name)}
            set={(on) => toggle(model.name, on)}
          />
        ))}
        {ordered.length > MOST && <p className="faint">{say("modelMore", { n: ordered.length - MOST })}</p>}
      </fieldset>
      <label className="row">
        {say("prefer")}
        <select value={choice.prefer} onChange={(event) => choose({ prefer: event.target.value as Prefer })}>
          {ORDERS.map(([value, key]) => (
            <option key={value} value={value}>
              {say(key)}
            </option>
          ))}
        </select>
      </label>
      <Check label={say("freeOnly")} checked={choice.freeOnly} set={(freeOnly) => choose({ freeOnly })} />
      <Check label={say("useFallback")} checked={choice.useFallback} set={(useFallback) => choose({ useFallback })} />
    </>
  );

  function labelOf({ name }: Model) {
    const place = choice.models.indexOf(name);
    return place < 0 || choice.models.length < 2 ? name : `${name} · ${say("modelOrder", { n: place + 1 })}`;
  }
}

function about(say: Say, model: Model): string {
  const state = {
    closed: "",
    doubtful: say("modelDoubtful"),
    half_open: say("modelHalfOpen"),
    open: model.retry_after === null ? say("modelDoubtful") : say("modelOpen", { time: secondsWords(say, model.retry_after) }),
  }[model.circuit];
  const price = model.free ? say("modelFree") : model.price === null ? "" : say("modelPrice", { price: model.price });
  const latency = model.latency === null ? "" : say("firstWord", { time: secondsWords(say, model.latency) });
  return [state, price, latency].filter(Boolean).join(" · ");
}
