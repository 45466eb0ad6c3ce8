// One incident: what was seen, who is on it, what the ledger says, and what can be done now.

import type { TFunction } from "i18next";
import { useCallback, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { evidenceUrl, get, post } from "../api/client";
import type { Entry, IncidentPage, Responder } from "../api/types";
import { timeOfDay } from "../i18n";

const OVER = new Set(["closed", "dismissed", "merged"]);

interface Props {
  incidentId: string;
  changed: number;
  onBack: () => void;
}

export function IncidentPanel({ incidentId, changed, onBack }: Props) {
  const { t } = useTranslation();
  const [page, setPage] = useState<IncidentPage | null>(null);
  const [responders, setResponders] = useState<Responder[]>([]);
  const [chosen, setChosen] = useState("");
  const [error, setError] = useState("");

  useEffect(() => {
    let current = true;
    get<IncidentPage>(`/api/incidents/${incidentId}`).then(
      (loaded) => current && setPage(loaded),
      (problem: Error) => current && setError(problem.message),
    );
    return () => void (current = false);
  }, [incidentId, changed]);
  useEffect(() => {
    get<Responder[]>("/api/responders").then(setResponders, () => setResponders([]));
  }, [changed]);

  const act = useCallback(
    async (verb: string, body: unknown = {}, ask = "") => {
      if (ask && !window.confirm(t("page/confirm", { action: ask }))) return;
      setError("");
      try {
        await post(`/api/incidents/${incidentId}/${verb}`, body);
        setPage(await get<IncidentPage>(`/api/incidents/${incidentId}`));
      } catch (problem) {
        setError(problem instanceof Error ? problem.message : String(problem));
      }
    },
    [incidentId, t],
  );

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
      if (event.key === "Escape") onBack();
      if (event.key === "a") void act("acknowledge");
      if (event.key === "d") void act("dispatch");
      if (event.key === "v") void act("verify");
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [act, onBack]);

  if (!page) return <div className="incident">{error && <p className="error">{error}</p>}</div>;
  const { incident, timeline } = page;
  const names = new Map(responders.map((r) => [r.responder_id, r.call_sign]));
  const over = OVER.has(incident.state);
  return (
    <div className="incident">
      <div className="bar">
        <button className="quiet" onClick={onBack}>← {t("page/back")}</button>
      </div>
      <h2>
        <span className={`severity ${over ? "over" : incident.severity}`}>{t(`severity/${incident.severity}`)}</span>{" "}
        {t(`kind/${incident.kind}`)} · <span data-testid="state">{t(`state/${incident.state}`)}</span>
        {incident.outcome && ` · ${t(`outcome/${incident.outcome}`)}`}
      </h2>
      <dl>
        <dt>{t("page/opened")}</dt><dd>{timeOfDay(incident.opened_at)}</dd>
        <dt>{t("page/cell")}</dt><dd>{incident.cell_code ?? "—"}</dd>
        <dt>{t("page/police")}</dt><dd>{incident.police_code ?? "—"}</dd>
        {incident.level > 0 && (<><dt>{t("page/level")}</dt><dd>{incident.level}</dd></>)}
      </dl>
      {error && <p role="alert" className="error">{error}</p>}
      {!over && (
        <div className="actions">
          {incident.acknowledged_at === null && (
            <button className="primary" onClick={() => void act("acknowledge")}>{t("page/acknowledge")}</button>
          )}
          <select value={chosen} onChange={(e) => setChosen(e.target.value)} aria-label={t("page/choose")}>
            <option value="">{t("page/choose")}</option>
            {responders.filter((r) => r.on_duty).map((r) => (
              <option key={r.responder_id} value={r.responder_id}>
                {r.call_sign} · {t(`force/${r.force}`)}
              </option>
            ))}
          </select>
          <button onClick={() => void act("dispatch", chosen ? { responder_id: chosen } : {})}>{t("page/dispatch")}</button>
          <button onClick={() => void act("verify")}>{t("page/verify")}</button>
          <button onClick={() => void act("close", { outcome: "false_alarm" }, t("page/falseAlarm"))}>
            {t("page/falseAlarm")}
          </button>
        </div>
      )}
      <h3>{t("page/evidence")}</h3>
      <div className="pictures">
        {incident.evidence.length === 0 && <p className="empty">{t("page/noEvidence")}</p>}
        {[...incident.evidence].slice(-6).map((sha) => (
          <a key={sha} href={evidenceUrl(sha, "handling")} target="_blank" rel="noreferrer">
            <img src={evidenceUrl(sha, "handling")} alt={t(`kind/${incident.kind}`)} loading="lazy" />
          </a>
        ))}
      </div>
      <h3>{t("page/dispatches")}</h3>
      <ul className="dispatches">
        {incident.dispatches.map((d) => (
          <li key={d.dispatch_id}>
            {names.get(d.responder_id) ?? d.responder_id} · {t(`force/${d.force}`)} · {t(`dispatch/${d.state}`)}
          </li>
        ))}
      </ul>
      <h3>{t("page/timeline")}</h3>
      <ol className="timeline">
        {timeline.map((entry) => (
          <li key={entry.position}>
            <time>{timeOfDay(entry.at)}</time> {t(`event/${entry.kind}`)} <small>{detail(entry, names, t)}</small>
          </li>
        ))}
      </ol>
    </div>
  );
}

function detail(entry: Entry, names: Map<string, string>, t: TFunction): string {
  const event = entry.event;
  const responder = event["responder_id"];
  if (typeof responder === "string") return names.get(responder) ?? responder;
  if (typeof event["outcome"] === "string" && entry.kind === "look.concluded") return t(`why/${event["outcome"]}`);
  if (typeof event["by"] === "string") return t(`why/${event["by"]}`);
  if (typeof event["distance_m"] === "number") return `${Math.round(event["distance_m"])} m`;
  if (typeof event["level"] === "number") return t("why/level", { level: event["level"] });
  if (entry.kind === "dispatch.short") return `${t(`force/${event["force"]}`)} · ${t(`why/${event["reason"]}`)}`;
  return "";
}
