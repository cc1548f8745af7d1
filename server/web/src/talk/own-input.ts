/** The input of a graph that takes no messages: its schema. Null for all others, and until it is known. */

import { get } from "../api";
import { useLoaded } from "../graph/use-loaded";
import type { JSONSchema } from "../forms/schema-form";
import { useValue } from "../store";
import { chosen } from "../thread/settings";

interface Schemas {
  input_schema: (JSONSchema & { properties?: Record<string, unknown> }) | null;
}

const known = new Map<string, Promise<Schemas>>();

export function useOwnInput(): JSONSchema | null {
  const { assistantId } = useValue(chosen);
  const load = async () => ({ of: assistantId, schema: own(await schemasOf(assistantId)) });
  const { value } = useLoaded(assistantId, load);
  return value?.of === assistantId ? value.schema : null;
}

function own({ input_schema: schema }: Schemas): JSONSchema | null {
  const names = Object.keys(schema?.properties ?? {});
  return names.length > 0 && !names.includes("messages") ? schema : null;
}

function schemasOf(assistantId: string): Promise<Schemas> {
  const found = known.get(assistantId) ?? get<Schemas>(`/assistants/${encodeURIComponent(assistantId)}/schemas`);
  known.set(assistantId, found);
  found.catch(() => known.delete(assistantId));
  return found;
}
