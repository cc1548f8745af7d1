/** How this tab signs in: a key or a token that is kept for the tab, and sent as a header. */

import { create } from "../store";

const STORED = "everturn.key";

/** Whether the service has refused this tab for want of a key. */
export const signInNeeded = create(false);

export function authorization(): Record<string, string> {
  const key = sessionStorage.getItem(STORED);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export function signIn(key: string): void {
  sessionStorage.setItem(STORED, key.trim());
  signInNeeded.set(false);
}

export function signOut(): void {
  sessionStorage.removeItem(STORED);
  signInNeeded.set(true);
}

export const isSignedIn = () => sessionStorage.getItem(STORED) !== null;

export function needSignIn(): void {
  signInNeeded.set(true);
}
