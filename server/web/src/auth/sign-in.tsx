/** The place where a reader signs in: by a key, or at an identity provider. */

import { useEffect, useId, useState } from "react";

import { focus } from "../focus";
import { useSay } from "../language";
import { useValue } from "../store";
import "../style/sign-in.css";
import { failed, signInFailure } from "./begin";
import { type OAuth, loadConfig } from "./config";
import { type KeyCheck, checkKey } from "./key";
import { goToProvider } from "./oauth";
import { keep, loadAnew, signInNeeded } from "./session";

export function SignIn() {
  const say = useSay();
  const reason = useValue(signInNeeded);
  const failure = useValue(signInFailure);
  const oauth = useOAuth();
  return (
    <main id="content" className="sign-in" tabIndex={-1}>
      <h2>{say("signIn")}</h2>
      {failure && <p className="bad" role="alert">{say(failure.key, { said: failure.said })}</p>}
      {!failure && reason === "wrong" && <p className="bad" role="alert">{say("keyNoMore")}</p>}
      {!failure && reason === "expired" && <p className="bad" role="alert">{say("signInEnded")}</p>}
      {oauth && <Provider oauth={oauth} />}
      <KeyForm first={!oauth} />
    </main>
  );
}

function Provider({ oauth }: { oauth: OAuth }) {
  const say = useSay();
  const go = () => goToProvider(oauth).catch(failed);
  return (
    <>
      <button className="primary" ref={focus} onClick={() => void go()}>{say("signInAt", { host: new URL(oauth.issuer).host })}</button>
      <p className="or faint">{say("or")}</p>
    </>
  );
}

function KeyForm({ first }: { first: boolean }) {
  const say = useSay();
  const id = useId();
  const [key, setKey] = useState("");
  const [checking, setChecking] = useState(false);
  const [found, setFound] = useState<KeyCheck>("good");

  const submit = async () => {
    setChecking(true);
    const check = await checkKey(key.trim());
    setFound(check);
    setChecking(false);
    if (check !== "good") return;
    keep("key", key);
    loadAnew();
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (key.trim() && !checking) void submit();
      }}
    >
      <label htmlFor={id}>{say("keyLabel")}</label>
      <input
        id={id}
        type="password"
        autoComplete="off"
        ref={first ? focus : null}
        value={key}
        aria-invalid={found === "wrong"}
        aria-describedby={`${id}-hint`}
        onChange={(event) => setKey(event.target.value)}
      />
      <p className="faint" id={`${id}-hint`}>{say("keyHint")}</p>
      {found !== "good" && !checking && <p className="bad" role="alert">{say(found === "wrong" ? "keyWrong" : "away")}</p>}
      <button className={first ? "primary" : ""} disabled={checking || !key.trim()}>{say("signIn")}</button>
    </form>
  );
}

/** The provider, where there is one; asked for again when the tab is looked at, as it may be back. */
function useOAuth(): OAuth | null {
  const [oauth, setOAuth] = useState<OAuth | null>(null);
  useEffect(() => {
    const load = () =>
      loadConfig().then(
        ({ auth }) => setOAuth(auth ? auth.oauth : null),
        () => undefined, // a key does without it
      );
    void load();
    window.addEventListener("focus", load);
    return () => window.removeEventListener("focus", load);
  }, []);
  return oauth;
}
