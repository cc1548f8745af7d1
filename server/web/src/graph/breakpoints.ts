/** Nodes before and after which runs of this page stop. */

import { create } from "../store";

export interface Breakpoints {
  before: string[];
  after: string[];
}

export const breakpoints = create<Breakpoints>({ before: [], after: [] });
