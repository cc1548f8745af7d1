/** Waiting that ends: for what a connection brings, and before something is tried again. */

/** Ends a connection on which nothing comes any more, as after a night with the lid closed. */
export class Patience {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly connection: AbortController,
    private readonly milliseconds: number,
  ) {
    this.heard();
  }

  /** Something has come, be it only a heartbeat. */
  readonly heard = (): void => {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connection.abort(), this.milliseconds);
  };

  readonly end = (): void => clearTimeout(this.timer);
}

/** Wait, or until the signal says that nobody waits any more. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
