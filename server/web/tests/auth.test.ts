import { beforeEach, describe, expect, it, vi } from "vitest";

const stored = new Map<string, string>();
vi.stubGlobal("sessionStorage", {
  getItem: (name: string) => stored.get(name) ?? null,
  setItem: (name: string, value: string) => void stored.set(name, value),
  removeItem: (name: string) => void stored.delete(name),
});

const { challengeOf, secret } = await import("../src/auth/pkce");
const { answerIn, authorizationUrl, exchangeBody, isOurs, redirectUri } = await import("../src/auth/oauth");

const OAUTH = {
  issuer: "https://id.example",
  authorization_endpoint: "https://id.example/authorize?tenant=1",
  token_endpoint: "https://id.example/token",
  client_id: "page",
  scopes: ["openid", "runs"],
  audience: "everturn",
};
const STARTED = { state: "s", verifier: "v", hash: "#/now" };
const PAGE = "https://page.example/api/";

describe("PKCE", () => {
  it("makes the challenge of RFC 7636, appendix B", async () => {
    expect(await challengeOf("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")).toBe(
      "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    );
  });

  it("makes verifiers of 43 letters that may stand in one, no two alike", () => {
    const some = Array.from({ length: 50 }, secret);
    expect(some.every((each) => /^[A-Za-z0-9_-]{43}$/.test(each))).toBe(true);
    expect(new Set(some).size).toBe(50);
  });
});

describe("sign-in at a provider", () => {
  it("asks for a code, and keeps what the provider's address has already", () => {
    const url = new URL(authorizationUrl(OAUTH, STARTED, "c", PAGE));
    expect(Object.fromEntries(url.searchParams)).toEqual({
      tenant: "1",
      response_type: "code",
      client_id: "page",
      redirect_uri: PAGE,
      scope: "openid runs",
      audience: "everturn",
      state: "s",
      code_challenge: "c",
      code_challenge_method: "S256",
    });
    expect(url.href).not.toContain("v=");
  });

  it("comes back to the page's own address, below a prefix as well", () => {
    expect(redirectUri({ origin: "https://page.example", pathname: "/api/" })).toBe(PAGE);
  });

  it("reads what the provider says", () => {
    expect(answerIn("")).toBeNull();
    expect(answerIn("?other=1")).toBeNull();
    expect(answerIn("?code=x")).toBeNull();
    expect(answerIn("?code=x&state=s")).toEqual({ code: "x" });
    expect(answerIn("?error=access_denied&state=s")).toEqual({ error: "access_denied" });
    expect(answerIn("?error=a&error_description=No+more&state=s")).toEqual({ error: "No more" });
  });

  it("takes no answer to somebody else's sign-in", () => {
    expect(isOurs("?code=x&state=s", STARTED)).toBe(true);
    expect(isOurs("?code=x&state=other", STARTED)).toBe(false);
    expect(isOurs("?code=x", STARTED)).toBe(false);
    expect(isOurs("?code=x&state=s", null)).toBe(false);
  });

  it("sends the verifier with the code, and no secret", () => {
    expect(Object.fromEntries(exchangeBody(OAUTH, "x", "v", PAGE))).toEqual({
      grant_type: "authorization_code",
      code: "x",
      redirect_uri: PAGE,
      client_id: "page",
      code_verifier: "v",
    });
  });
});

describe("the session of a tab", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.resetModules();
    stored.clear();
  });

  it("sends a key in both headers, a token in one", async () => {
    const session = await import("../src/auth/session");
    expect(session.authorization()).toEqual({});
    session.keep("key", " k ");
    expect(session.authorization()).toEqual({ Authorization: "Bearer k", "X-Api-Key": "k" });
    session.keep("token", "t", 60);
    expect(session.authorization()).toEqual({ Authorization: "Bearer t" });
  });

  it("is there after a reload, and gone after a sign-out", async () => {
    (await import("../src/auth/session")).keep("key", "k");
    vi.resetModules();
    const session = await import("../src/auth/session");
    expect(session.isSignedIn()).toBe(true);
    session.forgetKey();
    expect(session.isSignedIn()).toBe(false);
    expect(stored.size).toBe(0);
  });

  it("ends when its token does, also after a reload", async () => {
    (await import("../src/auth/session")).keep("token", "t", 60);
    vi.resetModules();
    const session = await import("../src/auth/session");
    vi.advanceTimersByTime(59_000);
    expect(session.signInNeeded.get()).toBeNull();
    vi.advanceTimersByTime(2_000);
    expect(session.signInNeeded.get()).toBe("expired");
    expect(session.authorization()).toEqual({});
  });

  it("says why a refused reader has to sign in", async () => {
    const session = await import("../src/auth/session");
    session.needSignIn();
    expect(session.signInNeeded.get()).toBe("needed");
    session.signInNeeded.set(null);
    session.keep("key", "revoked");
    session.needSignIn();
    expect(session.signInNeeded.get()).toBe("wrong");
  });

  it("passes over what it cannot read", async () => {
    stored.set("everturn.key", "sk-plain");
    expect((await import("../src/auth/session")).isSignedIn()).toBe(false);
  });
});
