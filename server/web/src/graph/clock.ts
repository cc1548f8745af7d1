/** How far the reader's clock is ahead of the service's, as the times of events tell it. */

/** A stream begins with what has happened before: that is old, whatever the clocks say. */
const TOLD_AGAIN = 1_000;

export class Clock {
  private first: number | null = null;
  private least: number | null = null;

  /** In ms. */
  get ahead(): number {
    return this.least ?? 0;
  }

  /** Events have come: when they were sent, by the service's clock, and when they came, by the reader's. */
  hear(sent: readonly number[], now: number): void {
    this.first ??= now;
    if (now - this.first < TOLD_AGAIN) return;
    // The event that was least long on its way says most.
    for (const each of sent) this.least = Math.min(this.least ?? Infinity, now - each);
  }
}
