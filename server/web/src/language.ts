/** The language of the page: English or Korean, as the browser says, until the reader chooses. */

import { create, useValue } from "./store";
import { type Key, strings } from "./strings";
import { local } from "./stored";

export type Language = "en" | "ko";

const STORED = "everturn.language";

export const language = create<Language>(first());

function first(): Language {
  const stored = local.getItem(STORED);
  if (stored === "en" || stored === "ko") return stored;
  return navigator.language.startsWith("ko") ? "ko" : "en";
}

export function choose(next: Language): void {
  local.setItem(STORED, next);
  language.set(next);
}

export type Say = (key: Key, values?: Record<string, string | number>) => string;

/** Returns `say(key, values)`: the sentence in the reader's language, `{name}` replaced. */
export function useSay(): Say {
  const index = useValue(language) === "en" ? 0 : 1;
  return (key, values = {}) =>
    strings[key][index].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}
