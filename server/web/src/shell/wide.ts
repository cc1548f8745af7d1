/** Whether there is room for a third column. What is not shown is not loaded, either. */

import { create } from "../store";

const query = matchMedia("(min-width: 1100px)");

export const isWide = create(query.matches);

query.addEventListener("change", () => isWide.set(query.matches));
