// Who is signed in; the sign-in form both pages share.

import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { get, post, Problem } from "../api/client";
import type { Account } from "../api/types";
import { switchLanguage } from "../i18n";

export function Session({ children }: { children: (account: Account, leave: () => void) => ReactNode }) {
  const [account, setAccount] = useState<Account | null | undefined>(undefined);
  useEffect(() => {
    get<Account>("/api/me").then(setAccount, () => setAccount(null));
  }, []);
  if (account === undefined) return null;
  if (account === null) return <SignIn onEnter={setAccount} />;
  return children(account, () => void post("/api/logout").finally(() => setAccount(null)));
}

function SignIn({ onEnter }: { onEnter: (account: Account) => void }) {
  const { t } = useTranslation();
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      onEnter(await post<Account>("/api/login", Object.fromEntries(form)));
    } catch (problem) {
      const wrong = problem instanceof Problem && problem.status === 401;
      setError(wrong ? t("login/wrong") : String(problem instanceof Error ? problem.message : problem));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main className="signin">
      <form onSubmit={submit}>
        <h1>{t("product")}</h1>
        <label>
          {t("login/account")}
          <input name="account" autoComplete="username" required autoFocus />
        </label>
        <label>
          {t("login/password")}
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        {error && <p role="alert" className="error">{error}</p>}
        <button className="primary" disabled={busy}>{t("login/enter")}</button>
        <button type="button" className="quiet" onClick={switchLanguage}>{t("lang")}</button>
      </form>
    </main>
  );
}
