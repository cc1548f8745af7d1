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
  untitled: ["No message yet", "아직 메시지 없음"],
  idle: ["idle", "대기 중"],
  busy: ["running", "실행 중"],
  interrupted: ["waits for an answer", "응답 필요"],
  error: ["failed", "실패"],
  filters: ["Filter the threads", "대화 거르기"],
  searchTitles: ["Search titles", "제목 검색"],
  searched: ["Titles and ids of the newest {count} threads are searched.", "최근 대화 {count}개의 제목과 ID에서 찾습니다."],
  searchOn: ["Search older threads", "더 오래된 대화에서 찾기"],
  allGraphs: ["All graphs", "모든 그래프"],
  allStatuses: ["All statuses", "모든 상태"],
  status: ["Status", "상태"],
  noThreads: ["There are no threads yet.", "아직 대화가 없습니다."],
  noneFits: ["No thread fits.", "맞는 대화가 없습니다."],
  tryAgain: ["Try again", "다시 시도"],
  menuOf: ["Menu of {title}", "{title} 메뉴"],
  rename: ["Rename", "이름 바꾸기"],
  title: ["Title", "제목"],
  save: ["Save", "저장"],
  cancel: ["Cancel", "취소"],
  copy: ["Copy", "복사"],
  copyOf: ["{title} (copy)", "{title} (사본)"],
  exportJson: ["Export as JSON", "JSON으로 내보내기"],
  exportMarkdown: ["Export as Markdown", "Markdown으로 내보내기"],
  delete: ["Delete", "삭제"],
  deleteAsk: ["Delete this thread and all that was said in it?", "이 대화와 모든 내용을 삭제할까요?"],
  keep: ["Keep", "유지"],

  // Forms
  required: ["required", "필수"],
  value: ["Value", "값"],
  json: ["JSON", "JSON"],
  yes: ["yes", "예"],
  no: ["no", "아니요"],
  notSet: ["not set", "설정 안 함"],
  notSetDefault: ["not set ({value})", "설정 안 함 ({value})"],
  noFields: ["It takes no arguments.", "인수가 없습니다."],
  add: ["Add", "추가"],
  addItem: ["Add an item", "항목 추가"],
  removeItem: ["Remove item {number}", "{number}번 항목 삭제"],
  leaveOut: ["Leave out", "제외"],
  flawMissing: ["This is required.", "필수 항목입니다."],
  flawNumber: ["This is not a number.", "숫자가 아닙니다."],
  flawInteger: ["This is not a whole number.", "정수가 아닙니다."],
  flawJson: ["This is not JSON.", "올바른 JSON이 아닙니다."],
  flawPattern: ["This does not have the form that is wanted.", "형식이 맞지 않습니다."],
  flawType: ["This value does not fit.", "맞지 않는 값입니다."],
  flawShort: ["At least {limit} characters.", "{limit}자 이상이어야 합니다."],
  flawLong: ["At most {limit} characters.", "{limit}자 이하여야 합니다."],
  flawSmall: ["Too small: the limit is {limit}.", "너무 작습니다. 하한은 {limit}입니다."],
  flawLarge: ["Too large: the limit is {limit}.", "너무 큽니다. 상한은 {limit}입니다."],
  flawFew: ["At least {limit} items.", "항목이 {limit}개 이상이어야 합니다."],
  flawMany: ["At most {limit} items.", "항목이 {limit}개 이하여야 합니다."],

  // Talk

  // Graph

  // Now
} as const satisfies Record<string, readonly [en: string, ko: string]>;

export type Key = keyof typeof strings;
