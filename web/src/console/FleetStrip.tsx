import { useTranslation } from "react-i18next";

import type { DevicePosition, District } from "../api/types";

export function FleetStrip({ district, positions }: { district: District; positions: DevicePosition[] }) {
  const { t } = useTranslation();
  const latest = new Map(positions.map((p) => [p.device_sn, p]));
  return (
    <ul className="fleet" aria-label={t("fleet/title")}>
      {district.drones.map((drone) => {
        const now = latest.get(drone.sn);
        const height = now?.height_agl_m ?? now?.height_rel_m;
        const low = now?.battery_pct != null && now.battery_pct < 30;
        return (
          <li key={drone.sn} data-drone={drone.sn}>
            <b>{drone.name}</b>
            <span>{t(`phase/${now?.phase ?? "offline"}`)}</span>
            <span className={low ? "warn" : ""}>{now?.battery_pct != null ? `${Math.round(now.battery_pct)} %` : "—"}</span>
            <span>{height != null ? `${Math.round(height)} m` : "—"}</span>
            <span>{now?.speed_m_s != null ? `${now.speed_m_s.toFixed(0)} m/s` : "—"}</span>
          </li>
        );
      })}
    </ul>
  );
}
