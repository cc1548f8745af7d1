/** A state in a form. It is written as a fork of its checkpoint; the thread can go on from there. */

import { useState } from "react";

import { get } from "../../api";
import { type JSONSchema, SchemaForm } from "../../forms/schema-form";
import { useSay } from "../../language";
import { useLoaded } from "../use-loaded";
import { type Values, isObject, same } from "./difference";

interface Props {
  assistantId: string;
  values: Values;
  /** The nodes of the graph; the first choice is the one that has made the checkpoint. */
  nodes: readonly string[];
  madeBy: string | null;
  save: (values: Values, asNode: string, run: boolean) => Promise<void>;
}

export function EditState({ assistantId, values, nodes, madeBy, save }: Props) {
  const say = useSay();
  const schemas = useLoaded(assistantId, (signal) => get<{ state_schema: JSONSchema | null }>(`/assistants/${assistantId}/schemas`, { signal }));
  const [edited, setEdited] = useState<unknown>(values);
  const [valid, setValid] = useState(true);
  const [asNode, setAsNode] = useState(madeBy ?? "");
  const [isSaving, setSaving] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const canSave = valid && isObject(edited) && !same(edited, values) && !isSaving;
  const send = async (run: boolean) => {
    if (!isObject(edited)) return;
    setSaving(true);
    setError(null);
    try {
      await save(edited, asNode, run);
    } catch (reason) {
      setError((reason as Error).message);
    } finally {
      setSaving(false);
    }
  };
  if (!schemas.value && !schemas.error) return <p className="faint">{say("loading")}</p>;
  return (
    <form className="edit-state" onSubmit={(event) => (event.preventDefault(), void send(true))}>
      <SchemaForm
        schema={schemas.value?.state_schema ?? null}
        value={edited}
        onChange={(next, isValid) => (setEdited(next), setValid(isValid))}
      />
      <label>
        {say("graphAsNode")}
        <select value={asNode} onChange={(event) => setAsNode(event.target.value)}>
          <option value="">{say("graphAsNodeAuto")}</option>
          {["__start__", ...nodes].map((node) => <option key={node}>{node}</option>)}
        </select>
      </label>
      <p className="faint">{say("graphAsNodeHint")}</p>
      {error && <p className="bad" role="alert">{error}</p>}
      <p className="graph-actions">
        <button className="primary" disabled={!canSave}>{say("graphForkAndRun")}</button>
        <button type="button" disabled={!canSave} onClick={() => void send(false)}>{say("graphForkOnly")}</button>
      </p>
    </form>
  );
}
