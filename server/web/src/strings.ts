/** Every sentence of the page: English, Korean. `{name}` is replaced. A place has a section of its own. */

export const strings = {
  // The whole page
  threads: ["Threads", "대화 목록"],
  talk: ["Talk", "대화"],
  graph: ["Graph", "그래프"],
  now: ["Now", "현황"],
  places: ["Places", "화면"],
  light: ["Light", "밝게"],
  dark: ["Dark", "어둡게"],
  otherLanguage: ["한국어", "English"],
  skip: ["Skip to the content", "본문으로 건너뛰기"],
  away: ["The service is away. The page comes back by itself.", "서비스에 연결할 수 없습니다. 곧 다시 연결합니다."],
  gone: ["This thread is not there any more.", "이 대화는 더 이상 없습니다."],
  loading: ["Loading …", "불러오는 중 …"],
  signIn: ["Sign in", "로그인"],
  signOut: ["Sign out", "로그아웃"],
  keyLabel: ["API key", "API 키"],
  keyHint: ["It is kept for this tab only.", "이 탭에만 보관됩니다."],

  // Threads
  newThread: ["New thread", "새 대화"],

  // Talk

  // Graph

  // Now
} as const satisfies Record<string, readonly [en: string, ko: string]>;

export type Key = keyof typeof strings;
