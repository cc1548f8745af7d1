/** What happens before anything is shown: a reader who comes back from the provider is signed in. */

import { create } from "../store";
import { SignInFailed, comeBack, isBack } from "./oauth";
import { signInNeeded } from "./session";

/** False while a code is exchanged for a token. */
export const ready = create(!isBack());

/** Why the last sign-in at the provider came to nothing. */
export const signInFailure = create<SignInFailed | null>(null);

if (!ready.get()) {
  comeBack()
    .catch((error: Error) => {
      signInFailure.set(error instanceof SignInFailed ? error : new SignInFailed("oauthNoToken", error.message));
      signInNeeded.set("needed");
    })
    .finally(() => ready.set(true));
}
