/** What cannot be shown takes nothing else with it: a graph of the user's may keep odd things in its state. */

import { Component, type ReactNode } from "react";

import { useSay } from "../language";

interface Props {
  /** Shown in its place; else the error is, and can be tried again. */
  instead?: ReactNode;
  /** What is shown: where it is another, it is tried again. */
  of: string;
  children: ReactNode;
}

export class Boundary extends Component<Props, { error: Error | null }> {
  override state = { error: null as Error | null };

  static getDerivedStateFromError(error: unknown): { error: Error } {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override componentDidUpdate(before: Props): void {
    if (this.state.error && before.of !== this.props.of) this.setState({ error: null });
  }

  override render(): ReactNode {
    const { error } = this.state;
    const { children, instead } = this.props;
    if (!error) return children;
    return instead ?? <NotShown error={error} again={() => this.setState({ error: null })} />;
  }
}

function NotShown({ error, again }: { error: Error; again: () => void }) {
  const say = useSay();
  return (
    <div role="alert">
      <p className="bad">{say("notShown", { error: error.message })}</p>
      <button onClick={again}>{say("tryAgain")}</button>
    </div>
  );
}
