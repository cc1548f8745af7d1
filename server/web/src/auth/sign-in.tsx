import { useState } from "react";

import { useSay } from "../language";
import { signIn } from "./session";

export function SignIn() {
  const say = useSay();
  const [key, setKey] = useState("");
  return (
    <main id="content" className="sign-in">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (key.trim()) signIn(key);
        }}
      >
        <label>
          {say("keyLabel")}
          <input type="password" autoComplete="off" autoFocus value={key} onChange={(event) => setKey(event.target.value)} />
        </label>
        <p className="faint">{say("keyHint")}</p>
        <button className="primary">{say("signIn")}</button>
      </form>
    </main>
  );
}
