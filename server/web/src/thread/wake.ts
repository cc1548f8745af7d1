/** When the page was away: behind another tab for long, without a network, or with the lid closed. */

const LONG = 15_000; // milliseconds after which a connection may have died without a word
const TICK = 5_000;

/** Call `woken` when the page is back. Returns how to stop. */
export function onWake(woken: () => void): () => void {
  let hiddenAt: number | null = document.hidden ? Date.now() : null;
  let ticked = Date.now();
  const seen = () => {
    if (document.hidden) hiddenAt = Date.now();
    else {
      if (hiddenAt !== null && Date.now() - hiddenAt > LONG) woken();
      hiddenAt = null;
    }
  };
  // A timer that comes far too late has slept with the machine.
  const timer = setInterval(() => {
    if (Date.now() - ticked > LONG && !document.hidden) woken();
    ticked = Date.now();
  }, TICK);
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", woken);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("online", woken);
  };
}
