/** Sign-in at an identity provider: authorization code with PKCE. The page is a public client. */

import { type OAuth, loadConfig } from "./config";
import { challengeOf, secret } from "./pkce";
import { keep } from "./session";
import { session } from "../stored";

const STORED = "everturn.sign-in";

/** What this tab remembers while the reader is at the provider. */
export interface Started {
  state: string;
  verifier: string;
  /** Where the reader was: the address after `#`. */
  hash: string;
}

/** Why a sign-in came to nothing. `said` is the provider's. */
export class SignInFailed extends Error {
  constructor(
    readonly key: "oauthState" | "oauthRefused" | "oauthNoToken" | "oauthInsecure",
    readonly said = "",
  ) {
    super(said);
  }
}

/** The page's own address: what the provider leads back to. */
export const redirectUri = (address: Pick<Location, "origin" | "pathname"> = location) =>
  address.origin + address.pathname;

/** The address of the provider's page. */
export function authorizationUrl(oauth: OAuth, started: Started, challenge: string, redirect: string): string {
  const url = new URL(oauth.authorization_endpoint);
  const parameters = {
    response_type: "code",
    client_id: oauth.client_id,
    redirect_uri: redirect,
    scope: oauth.scopes.join(" "),
    audience: oauth.audience,
    state: started.state,
    code_challenge: challenge,
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(parameters)) if (value) url.searchParams.set(name, value);
  return url.href;
}

/** Lead the reader to the provider. */
export async function goToProvider(oauth: OAuth): Promise<void> {
  // Browsers have it on https and on this machine alone.
  if (!crypto.subtle) throw new SignInFailed("oauthInsecure");
  const started: Started = { state: secret(), verifier: secret(), hash: location.hash };
  session.setItem(STORED, JSON.stringify(started));
  location.assign(authorizationUrl(oauth, started, await challengeOf(started.verifier), redirectUri()));
}

/** What the provider says in the address that it leads back to; null where it says nothing. */
export function answerIn(search: string): { code: string } | { error: string } | null {
  const parameters = new URLSearchParams(search);
  const [code, error] = [parameters.get("code"), parameters.get("error")];
  if (!parameters.has("state") && !error) return null;
  if (error) return { error: parameters.get("error_description") ?? error };
  return code ? { code } : null;
}

/** Whether an answer belongs to the sign-in that this tab has begun, and not to somebody else's. */
export const isOurs = (search: string, started: Started | null): started is Started =>
  started !== null && new URLSearchParams(search).get("state") === started.state;

/** What is sent for a token. */
export function exchangeBody(oauth: OAuth, code: string, verifier: string, redirect: string): URLSearchParams {
  return new URLSearchParams({
    grant_type: "authorization_code",
    code,
    redirect_uri: redirect,
    client_id: oauth.client_id,
    code_verifier: verifier,
  });
}

function take(): Started | null {
  const stored = session.getItem(STORED);
  session.removeItem(STORED);
  return stored === null ? null : JSON.parse(stored);
}

export const isBack = () => answerIn(location.search) !== null;

/** Come back from the provider: take the code out of the address, and get a token for it. */
export async function comeBack(): Promise<void> {
  const { search } = location;
  const answer = answerIn(search);
  const started = take();
  const ours = isOurs(search, started);
  // The code is good once: it must not be sent again by a reload.
  history.replaceState(null, "", location.pathname + (ours ? started.hash : location.hash));
  if (answer === null) return;
  if (!ours) throw new SignInFailed("oauthState");
  if ("error" in answer) throw new SignInFailed("oauthRefused", answer.error);
  const { auth } = await loadConfig();
  if (!auth || !auth.oauth) throw new SignInFailed("oauthNoToken");
  const { access_token, expires_in } = await exchange(auth.oauth, answer.code, started.verifier);
  keep("token", access_token, expires_in ?? null);
}

async function exchange(oauth: OAuth, code: string, verifier: string): Promise<{ access_token: string; expires_in?: number }> {
  const body = exchangeBody(oauth, code, verifier, redirectUri());
  const response = await fetch(oauth.token_endpoint, { method: "POST", body, headers: { Accept: "application/json" } });
  const said = await response.json().catch(() => ({}));
  if (response.ok && typeof said.access_token === "string") return said;
  throw new SignInFailed("oauthNoToken", said.error_description ?? said.error ?? response.statusText);
}
