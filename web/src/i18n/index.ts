import i18next from "i18next";
import { initReactI18next } from "react-i18next";

import { en } from "./en";
import { zh } from "./zh";

const KEY = "gridwing-language";
const saved = localStorage.getItem(KEY);

void i18next.use(initReactI18next).init({
  lng: saved === "en" ? "en" : "zh-CN",
  fallbackLng: "zh-CN",
  keySeparator: "/",
  resources: { "zh-CN": { translation: zh }, en: { translation: en } },
  interpolation: { escapeValue: false },
});

export function switchLanguage(): void {
  const next = i18next.language === "en" ? "zh-CN" : "en";
  localStorage.setItem(KEY, next);
  document.documentElement.lang = next;
  void i18next.changeLanguage(next);
}

export function timeOfDay(iso: string): string {
  return new Date(iso).toLocaleTimeString(i18next.language, {
    hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false, timeZone: "Asia/Shanghai",
  });
}

export default i18next;
