/** What the browser keeps for the page. Where it may keep nothing, it is kept until the page is left. */

type Kept = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** Browsers that keep nothing for a site refuse even to look; one that is full refuses more. */
export function carefully(storage: () => Kept): Kept {
  const here = new Map<string, string>();
  const tried = <T>(use: (kept: Kept) => T): T | null => {
    try {
      return use(storage());
    } catch {
      return null;
    }
  };
  return {
    getItem: (key) => here.get(key) ?? tried((kept) => kept.getItem(key)),
    setItem(key, value) {
      const done = tried((kept) => (kept.setItem(key, value), true));
      if (done) here.delete(key);
      else here.set(key, value);
    },
    removeItem(key) {
      here.delete(key);
      tried((kept) => kept.removeItem(key));
    },
  };
}

/** For this browser. */
export const local = carefully(() => localStorage);

/** For this tab. */
export const session = carefully(() => sessionStorage);
