/** Figures as people read them. */

import { language } from "../language";
import { useValue } from "../store";

export interface Format {
  count(value: number): string;
  rate(value: number): string;
  seconds(value: number | null): string;
  cost(value: number | null): string;
  share(value: number): string;
  bytes(value: number | null): string;
  clock(unix: number): string;
}

export const NONE = "–";

export function formatOf(language: string): Format {
  const number = (digits: number) => new Intl.NumberFormat(language, { maximumFractionDigits: digits });
  const [whole, one, two] = [number(0), number(1), number(2)];
  const compact = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 2 });
  const small = new Intl.NumberFormat(language, { maximumSignificantDigits: 2 });
  const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const unit = language === "ko" ? "초" : " s";
  const digits = (value: number) => (value < 1 ? two : value < 100 ? one : whole).format(value);
  return {
    count: (value) => (value < 10_000 ? whole : compact).format(value),
    rate: digits,
    seconds: (value) => (value === null ? NONE : value > 0 && value < 0.1 ? `${small.format(value * 1000)} ms` : `${digits(value)}${unit}`),
    cost: (value) => (value === null ? NONE : value === 0 ? "$0" : `$${(value < 0.1 ? small : two).format(value)}`),
    share: (value) => `${(value > 0 && value < 0.1 ? one : whole).format(value * 100)} %`,
    bytes: (value) => (value === null ? NONE : `${whole.format(value / 1e6)} MB`),
    clock: (unix) => time.format(unix * 1000),
  };
}

const formats = { en: formatOf("en"), ko: formatOf("ko") };

export const useFormat = (): Format => formats[useValue(language)];
