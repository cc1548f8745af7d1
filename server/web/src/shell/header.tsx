import { isSignedIn, signInNeeded, signOut } from "../auth/session";
import { choose, language, useSay } from "../language";
import { type Place, hashOf } from "../place";
import { useValue } from "../store";
import { theme, toggleTheme } from "./theme";

const NAMES = ["threads", "talk", "graph", "now"] as const;

export function Header({ here }: { here: Place }) {
  const say = useSay();
  const lang = useValue(language);
  const dark = useValue(theme) === "dark";
  useValue(signInNeeded); // the button of signing out comes and goes with it
  return (
    <header>
      <h1>Everturn</h1>
      <nav className="places" aria-label={say("places")}>
        {NAMES.map((name) => (
          <a key={name} href={hashOf({ name, threadId: here.threadId })} aria-current={here.name === name ? "page" : undefined}>
            {say(name)}
          </a>
        ))}
      </nav>
      <button className="quiet" onClick={() => choose(lang === "en" ? "ko" : "en")}>{say("otherLanguage")}</button>
      <button className="quiet" onClick={toggleTheme}>{say(dark ? "light" : "dark")}</button>
      {isSignedIn() && <button className="quiet" onClick={signOut}>{say("signOut")}</button>}
    </header>
  );
}
