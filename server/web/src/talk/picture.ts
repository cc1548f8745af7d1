/** Pictures in messages, as LangChain and OpenAI write them. */

const TYPE = /^image\/(png|jpeg|gif|webp)$/;
const DATA = /^data:image\/(png|jpeg|gif|webp);base64,[\w+/=]+$/;

/** Where an attachment says that it is. */
export function urlIn({ url, image_url: given }: Record<string, unknown>): string | null {
  const inside = typeof given === "object" && given ? (given as { url?: unknown }).url : given;
  return [url, inside].find((each) => typeof each === "string") as string | undefined ?? null;
}

/** The address of a picture that stands in the message itself: none of another server is loaded. */
export function pictureIn(value: Record<string, unknown>): string | null {
  const { mime_type: type, base64, data } = value;
  const bytes = [base64, data].find((each) => typeof each === "string");
  const address = typeof type === "string" && TYPE.test(type) && bytes ? `data:${type};base64,${bytes}` : urlIn(value);
  return address && DATA.test(address) ? address : null;
}
