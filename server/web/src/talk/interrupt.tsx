import type { Interrupt } from "../protocol";

interface Props {
  threadId: string;
  interrupt: Interrupt;
  onAnswered: () => void;
}

/** What a thread waits for. */
export function InterruptCard({ interrupt }: Props) {
  return <pre className="interrupt">{JSON.stringify(interrupt.value, null, 2)}</pre>;
}
