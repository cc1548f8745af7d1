/** Dark or light: as the system says, until the reader chooses. */

import { create } from "../store";
import { local } from "../stored";

export type Theme = "light" | "dark";

const STORED = "everturn.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const theme = create<Theme>(chosen() ?? ofSystem());

function chosen(): Theme | null {
  const stored = local.getItem(STORED);
  return stored === "light" || stored === "dark" ? stored : null;
}

function ofSystem(): Theme {
  return system.matches ? "dark" : "light";
}

export function toggleTheme(): void {
  const next = theme.get() === "dark" ? "light" : "dark";
  local.setItem(STORED, next);
  theme.set(next);
}

const show = () => (document.documentElement.dataset.theme = theme.get());
theme.subscribe(show);
system.addEventListener("change", () => theme.set(chosen() ?? ofSystem()));
show();
