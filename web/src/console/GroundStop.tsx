// 停飞: one action, two steps. The first asks the server what it would do; the second carries its token.

import { useCallback, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { get, post, Problem } from "../api/client";
import type { Account, SkyNow, StopEffect } from "../api/types";
import { timeOfDay } from "../i18n";

const REASONS = ["safety", "weather", "airspace", "authority", "technical", "exercise", "other"] as const;
const MAY_STOP = ["operator", "dispatcher", "administrator", "engineer"];
const MAY_LIFT = ["dispatcher", "administrator"];

interface Shown {
  token: string;
  effect: StopEffect;
}

export function GroundStop({ account, changed }: { account: Account; changed: number }) {
  const { t } = useTranslation();
  const dialog = useRef<HTMLDialogElement>(null);
  const [stop, setStop] = useState<SkyNow["ground_stop"]>(null);
  const [reason, setReason] = useState<string>("safety");
  const [allHome, setAllHome] = useState(true);
  const [shown, setShown] = useState<Shown | null>(null);
  const [error, setError] = useState("");

  const reload = useCallback(() => {
    void get<SkyNow>("/api/sky").then((sky) => setStop(sky.ground_stop), () => undefined);
  }, []);
  useEffect(reload, [reload, changed]);

  const doing = (work: () => Promise<void>) => {
    setError("");
    work().catch((problem: unknown) => {
      setShown(null);
      const told = problem instanceof Problem && (problem.status === 403 || problem.status === 409);
      setError(t(told ? `stop/refused/${problem.status}` : "stop/failed"));
    });
  };
  const body = { reason, all_home: allHome };
  const ask = () =>
    doing(async () => setShown((await post<{ confirm: Shown }>("/api/ground-stop", body)).confirm));
  const confirm = () =>
    doing(async () => {
      await post("/api/ground-stop", { ...body, token: shown?.token });
      dialog.current?.close();
      reload();
    });
  const lift = () => {
    if (!window.confirm(t("stop/liftAsk"))) return;
    doing(async () => {
      await post("/api/ground-stop/lift", { reason: "clear" });
      reload();
    });
  };
  const open = () => {
    setShown(null);
    setError("");
    dialog.current?.showModal();
  };
  const change = <T,>(set: (value: T) => void) => (value: T) => {
    set(value);
    setShown(null);
  };

  if (!MAY_STOP.includes(account.role)) return null;
  return (
    <>
      {stop ? (
        <span className="stopped" role="alert">
          {t(stop.all_home ? "stop/stoodAllHome" : "stop/stood", {
            by: stop.by, time: timeOfDay(stop.at), reason: t(`stop/why/${stop.reason}`),
          })}
          {MAY_LIFT.includes(account.role) && <button onClick={lift}>{t("stop/lift")}</button>}
        </span>
      ) : (
        <button className="danger" onClick={open}>{t("stop/stop")}</button>
      )}
      <dialog ref={dialog} className="stop" aria-labelledby="stop-title">
        <h2 id="stop-title">{t("stop/title")}</h2>
        <p>{t("stop/what")}</p>
        <label>
          {t("stop/reason")}
          <select value={reason} onChange={(e) => change(setReason)(e.target.value)}>
            {REASONS.map((code) => <option key={code} value={code}>{t(`stop/why/${code}`)}</option>)}
          </select>
        </label>
        <label className="check">
          <input type="checkbox" checked={allHome} onChange={(e) => change(setAllHome)(e.target.checked)} />
          {t("stop/allHome")}
        </label>
        {shown && (
          <p className="effect" role="status">
            {t("stop/effect", {
              flying: shown.effect.in_the_air.length,
              leaving: shown.effect.taking_off.length,
              planned: shown.effect.planned.length,
            })}
          </p>
        )}
        {error && <p className="error" role="alert">{error}</p>}
        <div className="actions">
          <button onClick={() => dialog.current?.close()}>{t("stop/cancel")}</button>
          {shown ? (
            <button className="danger" onClick={confirm}>{t("stop/confirm")}</button>
          ) : (
            <button className="primary" onClick={ask}>{t("stop/next")}</button>
          )}
        </div>
      </dialog>
    </>
  );
}
