// The operator's wall: the map, what needs a person now, one incident in full, the fleet below.

import { useCallback, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { get } from "../api/client";
import type { Account, District, Entry, Incident } from "../api/types";
import { switchLanguage, timeOfDay } from "../i18n";
import { DistrictMap } from "../map/DistrictMap";
import { useLive } from "../stream/live";
import { FleetStrip } from "./FleetStrip";
import { GroundStop } from "./GroundStop";
import { IncidentList } from "./IncidentList";
import { IncidentPanel } from "./IncidentPanel";

const RELOAD_AFTER_MS = 150;
const ABOUT_FLIGHTS = /^(mission|flight|control|ground_stop)\//;

export function Console({ account, leave }: { account: Account; leave: () => void }) {
  const { t } = useTranslation();
  const [district, setDistrict] = useState<District | null>(null);
  const [incidents, setIncidents] = useState<Incident[]>([]);
  const [selected, setSelected] = useState<string | null>(null);
  const [changed, setChanged] = useState(0);
  const [stopChanged, setStopChanged] = useState(0);
  const [flightsChanged, setFlightsChanged] = useState(0);
  const [clock, setClock] = useState<string | null>(null);
  const timer = useRef(0);

  const reload = useCallback(() => {
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      void get<{ items: Incident[] }>("/api/incidents?limit=200").then((page) => setIncidents(page.items));
      setChanged((n) => n + 1);
    }, RELOAD_AFTER_MS);
  }, []);
  const onEntry = useCallback(
    (entry: Entry) => {
      setClock(entry.at);
      if (entry.stream.startsWith("incident/")) reload();
      if (entry.stream.startsWith("ground_stop/")) setStopChanged((n) => n + 1);
      if (ABOUT_FLIGHTS.test(entry.stream)) setFlightsChanged((n) => n + 1);
    },
    [reload],
  );
  const live = useLive(onEntry, reload);

  useEffect(() => {
    void get<District>("/api/district").then(setDistrict);
    reload();
  }, [reload]);

  return (
    <div className="console">
      <header>
        <strong>{district?.name ?? t("product")}</strong>
        <span className="product">{t("product")}</span>
        <span className={live.connected ? "live" : "live stale"} role="status">
          {live.connected ? t("live/on") : t("live/stale", { time: clock ? timeOfDay(clock) : "—" })}
        </span>
        {clock && <time>{timeOfDay(clock)}</time>}
        <span className="spring" />
        <GroundStop account={account} changed={stopChanged} />
        <span>{account.display}</span>
        <button className="quiet" onClick={switchLanguage}>{t("lang")}</button>
        <button className="quiet" onClick={leave}>{t("login/leave")}</button>
      </header>
      <main>
        <section className="ground">
          {district && (
            <DistrictMap
              district={district}
              positions={live.positions}
              incidents={incidents}
              selected={selected}
              onSelect={setSelected}
            />
          )}
          {district?.schematic && <p className="schematic">{t("map/schematic")}</p>}
          {district && (
            <FleetStrip account={account} district={district} positions={live.positions} changed={flightsChanged} />
          )}
        </section>
        <aside>
          {selected ? (
            <IncidentPanel incidentId={selected} changed={changed} onBack={() => setSelected(null)} />
          ) : (
            <IncidentList incidents={incidents} onSelect={setSelected} />
          )}
        </aside>
      </main>
    </div>
  );
}
