/** A form for a JSON Schema. What it has no field for is written as JSON. */

import { useEffect, useMemo } from "react";

import "../style/forms.css";
import { FieldInput } from "./field-input";
import { JsonInput } from "./json-input";
import { type JSONSchema, fieldOf } from "./schema";
import { canShow, initial, isValid } from "./value";

export type { JSONSchema } from "./schema";

interface Props {
  schema: JSONSchema | null;
  /** Undefined: the form begins with what the schema says, and tells by `onChange`. */
  value: unknown;
  onChange: (value: unknown, valid: boolean) => void;
  /** What the form is called, for readers who cannot see what it stands in. */
  label?: string;
}

export function SchemaForm({ schema, value, onChange, label }: Props) {
  const field = useMemo(() => fieldOf(schema), [schema]);
  const change = (next: unknown) => onChange(next, isValid(field, next));
  useEffect(() => {
    if (value === undefined) change(initial(field));
  }, [field]);
  const shown = value === undefined ? initial(field) : value;
  return (
    <div className="form" role="group" aria-label={label}>
      {canShow(field, shown) ? (
        <FieldInput field={field} label={label ?? ""} value={shown} required onChange={change} bare />
      ) : (
        <JsonInput label={label ?? ""} value={shown} onChange={change} />
      )}
    </div>
  );
}

/** Whether a value is what a schema wants, before anything was typed. */
export const fitsSchema = (schema: JSONSchema | null, value: unknown) => isValid(fieldOf(schema), value);
