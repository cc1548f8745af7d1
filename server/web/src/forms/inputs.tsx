/** Inputs for single values: text, number, one of several. */

import { useState } from "react";

import { useSay } from "../language";
import type { NumberField, TextField } from "./schema";
import { Unreadable, equal } from "./value";

export interface InputProps {
  id: string;
  value: unknown;
  required: boolean;
  onChange: (value: unknown) => void;
  invalid: boolean;
  describedBy: string | undefined;
}

const about = ({ id, invalid, describedBy, required }: InputProps) => ({
  id,
  "aria-invalid": invalid,
  "aria-describedby": describedBy,
  "aria-required": required,
});

/** An empty text is left out where it need not be, and null where only that will do. */
export function TextInput({ field, ...input }: InputProps & { field: TextField }) {
  const text = typeof input.value === "string" ? input.value : "";
  const change = (next: string) => {
    if (next || (input.required && !field.nullable)) input.onChange(next);
    else input.onChange(input.required ? null : undefined);
  };
  if (field.long && !field.secret) {
    const rows = Math.min(12, Math.max(1, text.split("\n").length, Math.ceil(text.length / 60)));
    return <textarea {...about(input)} rows={rows} value={text} onChange={(event) => change(event.target.value)} />;
  }
  return (
    <input
      {...about(input)}
      type={field.secret ? "password" : "text"}
      autoComplete="off"
      value={text}
      onChange={(event) => change(event.target.value)}
    />
  );
}

const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

export function NumberInput({ field, ...input }: InputProps & { field: NumberField }) {
  const [text, setText] = useState("");
  const { value } = input;
  const written = value instanceof Unreadable ? value.text : typeof value === "number" ? String(value) : "";
  // "1." and "1e3" stay as they are typed.
  const shown = typeof value === "number" && Number(text) === value && text.trim() ? text : written;
  return (
    <input
      {...about(input)}
      type="text"
      inputMode={field.integer && (field.min ?? -1) >= 0 ? "numeric" : "text"}
      autoComplete="off"
      value={shown}
      onChange={({ target }) => {
        setText(target.value);
        if (!target.value.trim()) input.onChange(input.required && field.nullable ? null : undefined);
        else if (NUMBER.test(target.value)) input.onChange(Number(target.value));
        else input.onChange(new Unreadable(target.value));
      }}
    />
  );
}

interface ChoiceProps extends InputProps {
  options: unknown[];
  nullable: boolean;
  fallback: unknown;
}

const NOTHING = "-";

export function ChoiceInput({ options, nullable, fallback, ...input }: ChoiceProps) {
  const say = useSay();
  const nameOf = (option: unknown) => {
    if (typeof option === "boolean") return say(option ? "yes" : "no");
    return typeof option === "string" ? option : JSON.stringify(option);
  };
  const at = options.findIndex((each) => equal(each, input.value));
  const unset = fallback === undefined || fallback === null ? say("notSet") : say("notSetDefault", { value: nameOf(fallback) });
  return (
    <select
      {...about(input)}
      value={at < 0 ? NOTHING : at}
      onChange={({ target }) => {
        if (target.value === NOTHING) input.onChange(input.required && nullable ? null : undefined);
        else input.onChange(options[Number(target.value)]);
      }}
    >
      {(!input.required || nullable || at < 0) && <option value={NOTHING}>{unset}</option>}
      {options.map((option, index) => <option key={index} value={index}>{nameOf(option)}</option>)}
    </select>
  );
}
