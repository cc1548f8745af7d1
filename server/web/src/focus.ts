/** `ref={focus}` on what the reader goes on with. `autoFocus` focuses only as the page is loaded. */
export function focus(element: HTMLElement | null): void {
  element?.focus();
}
