/** What the page must know before anybody has signed in: `page/config.json`. */

export interface OAuth {
  issuer: string;
  authorization_endpoint: string;
  token_endpoint: string;
  client_id: string;
  scopes: string[];
  audience: string;
}

export interface PageConfig {
  version: string;
  mount_prefix: string;
  /** False: nobody has to sign in. */
  auth: false | { api_key: true; oauth: OAuth | null };
}

/** Ask for it anew each time: a provider that was away may be back. */
export async function loadConfig(): Promise<PageConfig> {
  const response = await fetch("page/config.json", { cache: "no-store" });
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}
