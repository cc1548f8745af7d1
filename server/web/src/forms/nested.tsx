/** Fields that have fields in them: objects and lists. */

import { useSay } from "../language";
import { FieldInput, type FieldProps } from "./field-input";
import type { ListField, ObjectField } from "./schema";
import { flawOf, initial, withMember } from "./value";

export function ObjectInput({ field, label, value, required, onChange, bare }: FieldProps & { field: ObjectField }) {
  const say = useSay();
  const there = value !== null && typeof value === "object";
  const members = field.members.map((member) => (
    <FieldInput
      key={member.name}
      field={member.field}
      label={member.name}
      required={member.required}
      value={there ? (value as Record<string, unknown>)[member.name] : undefined}
      onChange={(next) => onChange(withMember(value, member.name, next))}
    />
  ));
  if (bare) return members.length ? <>{members}</> : <p className="faint">{say("noFields")}</p>;
  return (
    <fieldset className="field">
      <Legend label={label} required={required} />
      {field.hint && <p className="faint">{field.hint}</p>}
      {there ? members : <button type="button" onClick={() => onChange(initial(field) ?? {})}>{say("add")}</button>}
      {there && !required && <button type="button" className="quiet" onClick={() => onChange(undefined)}>{say("leaveOut")}</button>}
    </fieldset>
  );
}

export function ListInput({ field, label, value, required, onChange }: FieldProps & { field: ListField }) {
  const say = useSay();
  const items = Array.isArray(value) ? value : [];
  const flaw = flawOf(field, value, required);
  return (
    <fieldset className="field">
      <Legend label={label} required={required} />
      {field.hint && <p className="faint">{field.hint}</p>}
      {items.map((item, index) => (
        <div className="item" key={index}>
          <FieldInput
            field={field.item}
            label={String(index + 1)}
            required
            value={item}
            onChange={(next) => onChange(items.map((each, at) => (at === index ? next : each)))}
          />
          <button
            type="button"
            className="quiet icon"
            aria-label={say("removeItem", { number: index + 1 })}
            onClick={() => onChange(items.filter((_, at) => at !== index))}
          >
            <span aria-hidden="true">×</span>
          </button>
        </div>
      ))}
      {items.length < field.max && (
        <button type="button" onClick={() => onChange([...items, initial(field.item)])}>{say("addItem")}</button>
      )}
      {flaw && <p className="bad">{say(flaw.key, "limit" in flaw ? { limit: flaw.limit } : {})}</p>}
    </fieldset>
  );
}

function Legend({ label, required }: { label: string; required: boolean }) {
  const say = useSay();
  return (
    <legend>
      {label}
      {required && <span className="required" title={say("required")}> *</span>}
    </legend>
  );
}
