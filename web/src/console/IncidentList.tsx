import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Incident } from "../api/types";
import { timeOfDay } from "../i18n";

const OVER = new Set(["closed", "dismissed", "merged"]);
const RANK = { critical: 0, high: 1, medium: 2, low: 3 };

/** What needs a person first: not yet acknowledged, then the more severe, then the older. */
function byNeed(a: Incident, b: Incident): number {
  return (
    Number(OVER.has(a.state)) - Number(OVER.has(b.state)) ||
    Number(a.acknowledged_at !== null) - Number(b.acknowledged_at !== null) ||
    RANK[a.severity] - RANK[b.severity] ||
    a.opened_at.localeCompare(b.opened_at)
  );
}

export function IncidentList({ incidents, onSelect }: { incidents: Incident[]; onSelect: (id: string) => void }) {
  const { t } = useTranslation();
  const [openOnly, setOpenOnly] = useState(true);
  const [cursor, setCursor] = useState(0);
  const shown = useMemo(
    () => incidents.filter((incident) => !openOnly || !OVER.has(incident.state)).sort(byNeed),
    [incidents, openOnly],
  );

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLInputElement) return;
      if (event.key === "j") setCursor((n) => Math.min(n + 1, shown.length - 1));
      if (event.key === "k") setCursor((n) => Math.max(n - 1, 0));
      const chosen = shown[cursor];
      if (event.key === "Enter" && chosen) onSelect(chosen.incident_id);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [shown, cursor, onSelect]);

  return (
    <div className="incidents">
      <div className="bar">
        <h2>{t("list/title")}</h2>
        <span>{t("list/count", { count: shown.length })}</span>
        <span className="spring" />
        <button className="quiet" aria-pressed={openOnly} onClick={() => setOpenOnly(!openOnly)}>
          {openOnly ? t("list/openOnly") : t("list/all")}
        </button>
      </div>
      {shown.length === 0 && <p className="empty">{t("list/empty")}</p>}
      <ol>
        {shown.map((incident, i) => (
          <li key={incident.incident_id}>
            <button
              className={i === cursor ? "row at" : "row"}
              data-incident={incident.incident_id}
              onClick={() => onSelect(incident.incident_id)}
            >
              <span className={`severity ${OVER.has(incident.state) ? "over" : incident.severity}`}>
                {t(`severity/${incident.severity}`)}
              </span>
              <span className="kind">
                {t(`kind/${incident.kind}`)}
                {incident.acknowledged_at === null && !OVER.has(incident.state) && <i aria-hidden> ●</i>}
              </span>
              <span className="state">{t(`state/${incident.state}`)}</span>
              <span className="where">{incident.cell_code?.slice(-6) ?? "—"}</span>
              <time>{timeOfDay(incident.opened_at)}</time>
            </button>
          </li>
        ))}
      </ol>
    </div>
  );
}
