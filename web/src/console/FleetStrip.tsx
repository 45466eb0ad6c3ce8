import { useTranslation } from "react-i18next";

import type { Account, DevicePosition, District } from "../api/types";
import { FlightOrders } from "./FlightOrders";
import { useFlights } from "./useFlights";

interface Props {
  account: Account;
  district: District;
  positions: DevicePosition[];
  changed: number;
}

export function FleetStrip({ account, district, positions, changed }: Props) {
  const { t, i18n } = useTranslation();
  const flights = useFlights(changed);
  const tongue = i18n.language === "en" ? "en" : "zh";
  const latest = new Map(positions.map((p) => [p.device_sn, p]));
  return (
    <ul className="fleet" aria-label={t("fleet/title")}>
      {district.drones.map((drone) => {
        const now = latest.get(drone.sn);
        const height = now?.height_agl_m ?? now?.height_rel_m;
        const mission = flights.ofDrone.get(drone.sn) ?? null;
        const heldBy = flights.heldBy.get(drone.sn) ?? null;
        const lost = mission?.given_up;
        const low = now?.battery_pct != null && now.battery_pct < 30;
        return (
          <li key={drone.sn} data-drone={drone.sn} className={lost ? "lost" : ""}>
            <b>{drone.name}</b>
            <span>{t(`phase/${now?.phase ?? "offline"}`)}</span>
            <span className={low ? "warn" : ""}>{now?.battery_pct != null ? `${Math.round(now.battery_pct)} %` : "—"}</span>
            <span>{height != null ? `${Math.round(height)} m` : "—"}</span>
            <span>{now?.speed_m_s != null ? `${now.speed_m_s.toFixed(0)} m/s` : "—"}</span>
            {heldBy && <span className="note">{t("order/heldBy", { by: heldBy })}</span>}
            {lost && (
              <span className="note warn" role="alert">
                {t("order/givenUp", { reason: lost.reason[tongue] })} {lost.advice[tongue]}
              </span>
            )}
            <FlightOrders
              account={account}
              drone={drone}
              mission={mission}
              heldBy={heldBy}
              onDone={flights.reload}
            />
          </li>
        );
      })}
    </ul>
  );
}
