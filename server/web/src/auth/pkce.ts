/** Proof key for code exchange: https://www.rfc-editor.org/rfc/rfc7636. */

/** A text that cannot be guessed, of the letters that a verifier may have. */
export function secret(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** S256: what is shown of a verifier before the verifier itself is. */
export async function challengeOf(verifier: string): Promise<string> {
  const bytes = new TextEncoder().encode(verifier);
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

function base64url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
