/** The schemas of the tools, asked for once when a card needs them. */

import { useEffect, useState } from "react";

import { get } from "../api";
import type { JSONSchema } from "../forms/schema-form";

type Schemas = Record<string, JSONSchema>;

let asked: Promise<Schemas> | null = null;

async function ask(): Promise<Schemas> {
  const { tools } = await get<{ tools: { name: string; parameters: JSONSchema }[] }>("/api/tools");
  return Object.fromEntries(tools.map((tool) => [tool.name, tool.parameters]));
}

/** By name; empty while they are not known, and for keys that may not see them. */
export function useToolSchemas(): Schemas {
  const [schemas, setSchemas] = useState<Schemas>({});
  useEffect(() => {
    asked ??= ask();
    asked.then(setSchemas, () => (asked = null));
  }, []);
  return schemas;
}
