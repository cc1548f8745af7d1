/** One field of a form, with its label, its hint and what is wrong with it. */

import { useId, useState } from "react";

import { useSay } from "../language";
import { ChoiceInput, NumberInput, TextInput, type InputProps } from "./inputs";
import { JsonInput } from "./json-input";
import { ListInput, ObjectInput } from "./nested";
import type { Field } from "./schema";
import { flawOf } from "./value";

export interface FieldProps {
  field: Field;
  label: string;
  value: unknown;
  required: boolean;
  onChange: (value: unknown) => void;
  /** Without a frame and a name of its own: it is the whole form. */
  bare?: boolean;
}

export function FieldInput(props: FieldProps) {
  const { field, label, value, required, onChange } = props;
  if (field.kind === "object") return <ObjectInput {...props} field={field} />;
  if (field.kind === "list") return <ListInput {...props} field={field} />;
  if (field.kind === "json") return <JsonInput label={label} value={value} onChange={onChange} hint={field.hint} />;
  return <Labelled field={field} label={label} value={value} required={required} onChange={onChange} />;
}

function Labelled({ field, label, value, required, onChange }: FieldProps) {
  const say = useSay();
  const id = useId();
  const [touched, setTouched] = useState(false);
  const found = flawOf(field, value, required);
  // What is still to be written is no fault before the reader has been there.
  const flaw = found?.key === "flawMissing" && !touched ? null : found;
  const about = [field.hint && `${id}-hint`, flaw && `${id}-flaw`].filter(Boolean).join(" ");
  const input: InputProps = {
    id,
    value,
    required,
    onChange,
    invalid: flaw !== null,
    describedBy: about || undefined,
  };
  return (
    <div className="field" onBlur={() => setTouched(true)}>
      <label htmlFor={id}>
        {label || field.title || say("value")}
        {required && <span className="required" title={say("required")}> *</span>}
      </label>
      {field.hint && <p className="faint" id={`${id}-hint`}>{field.hint}</p>}
      {field.kind === "text" && <TextInput {...input} field={field} />}
      {field.kind === "number" && <NumberInput {...input} field={field} />}
      {field.kind === "boolean" && <ChoiceInput {...input} options={[true, false]} nullable={field.nullable} fallback={field.default} />}
      {field.kind === "choice" && <ChoiceInput {...input} options={field.options} nullable={field.nullable} fallback={field.default} />}
      {field.kind === "constant" && <ChoiceInput {...input} options={[field.value]} nullable={false} fallback={field.default} />}
      {flaw && <p className="bad" id={`${id}-flaw`}>{say(flaw.key, "limit" in flaw ? { limit: flaw.limit } : {})}</p>}
    </div>
  );
}
