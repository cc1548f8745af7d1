/** A button that opens a menu: by click, Enter, or arrow key; Escape and a click elsewhere close it. */

import { type KeyboardEvent, useEffect, useRef, useState } from "react";

export interface Item {
  label: string;
  act: () => void;
  bad?: boolean;
}

interface Props {
  label: string;
  items: Item[];
  tabIndex?: number;
}

export function Menu({ label, items, tabIndex }: Props) {
  const [open, setOpen] = useState(false);
  const [up, setUp] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };

  useEffect(() => {
    if (!open) return;
    const elsewhere = (event: PointerEvent) => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", elsewhere);
    box.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    return () => document.removeEventListener("pointerdown", elsewhere);
  }, [open]);

  const show = () => {
    // Near the lower edge it opens upwards, or the last thread's menu would be cut.
    const below = window.innerHeight - (button.current?.getBoundingClientRect().bottom ?? 0);
    setUp(below < items.length * 40 + 72);
    setOpen(true);
  };

  const move = (event: KeyboardEvent) => {
    const entries = [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
    const at = entries.indexOf(document.activeElement as HTMLElement);
    const steps: Record<string, number> = {
      ArrowDown: at + 1, ArrowUp: at - 1 + entries.length, Home: 0, End: entries.length - 1,
    };
    const next = steps[event.key];
    if (event.key === "Escape") close();
    else if (event.key === "Tab") return setOpen(false);
    else if (next !== undefined) entries[next % entries.length]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div className="menu" ref={box}>
      <button
        ref={button}
        className="quiet icon"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={label}
        tabIndex={tabIndex}
        onClick={() => (open ? close() : show())}
        onKeyDown={(event) => {
          if (open || event.key !== "ArrowDown") return;
          event.preventDefault();
          event.stopPropagation();
          show();
        }}
      >
        <span aria-hidden="true">⋯</span>
      </button>
      {open && (
        <div className={up ? "items up" : "items"} role="menu" aria-label={label} onKeyDown={move}>
          {items.map((item) => (
            <button
              key={item.label}
              role="menuitem"
              tabIndex={-1}
              className={item.bad ? "quiet bad" : "quiet"}
              onClick={() => {
                close();
                item.act();
              }}
            >
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
