/** How many columns there is room for. What is not shown is not loaded, either. */

import { create } from "../store";

const query = matchMedia("(min-width: 1100px)");

export const isWide = create(query.matches);

query.addEventListener("change", () => isWide.set(query.matches));

const oneColumn = matchMedia("(max-width: 799px)");

/** Whether there is room for one column alone. */
export const isNarrow = create(oneColumn.matches);

oneColumn.addEventListener("change", () => isNarrow.set(oneColumn.matches));
