/** What happens before anything is shown, so that nothing is asked for that would be refused. */

import { create } from "../store";
import { loadConfig } from "./config";
import { SignInFailed, comeBack, isBack } from "./oauth";
import { isSignedIn, signInNeeded } from "./session";

/** False while it is not known who is here. */
export const ready = create(isSignedIn() && !isBack());

/** Why the last sign-in at the provider came to nothing. */
export const signInFailure = create<SignInFailed | null>(null);

export const failed = (error: Error) =>
  signInFailure.set(error instanceof SignInFailed ? error : new SignInFailed("oauthNoToken", error.message));

if (!ready.get()) void begin();

async function begin(): Promise<void> {
  // Whoever has signed in stays so: a sign-in that somebody else has begun changes nothing.
  if (isBack()) await comeBack().catch((error: Error) => isSignedIn() || failed(error));
  if (!isSignedIn()) {
    // Where it cannot be had, the first request says whether a key is needed.
    const needed = await loadConfig().then(({ auth }) => auth !== false, () => false);
    if (needed) signInNeeded.set("needed");
  }
  ready.set(true);
}
