// What a person tells one drone in flight. Two steps: a button opens what it means, a second sends it.

import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { post, Problem } from "../api/client";
import type { Account, MissionNow } from "../api/types";

const REASONS = ["safety", "weather", "airspace", "authority", "technical", "exercise", "other"] as const;
const MAY_ORDER = ["operator", "dispatcher", "administrator"];

type Order = "return-home" | "cancel-return" | "pause" | "resume" | "take-control" | "release-control";

interface Props {
  account: Account;
  drone: { sn: string; name: string };
  mission: MissionNow | null;
  heldBy: string | null;
  onDone: () => void;
}

export function FlightOrders({ account, drone, mission, heldBy, onDone }: Props) {
  const { t } = useTranslation();
  const dialog = useRef<HTMLDialogElement>(null);
  const [order, setOrder] = useState<Order>("return-home");
  const [reason, setReason] = useState<string>("safety");
  const [error, setError] = useState("");

  const open = (wanted: Order) => {
    setOrder(wanted);
    setError("");
    dialog.current?.showModal();
  };
  const send = () => {
    setError("");
    const path = order.endsWith("-control")
      ? `/api/drones/${drone.sn}/${order}`
      : `/api/missions/${mission?.mission_id ?? ""}/${order}`;
    post(path, { reason }).then(
      () => {
        dialog.current?.close();
        onDone();
      },
      (problem: unknown) => setError(problem instanceof Problem ? problem.message : t("stop/failed")),
    );
  };

  const orders = MAY_ORDER.includes(account.role) ? fitting(mission, heldBy, account) : [];
  if (orders.length === 0) return null;
  const title = t(`order/${order}/do`);
  return (
    <div className="orders">
      {orders.map((one) => (
        <button key={one} className={one === "return-home" ? "primary" : ""} onClick={() => open(one)}>
          {t(`order/${one}/do`)}
        </button>
      ))}
      <dialog ref={dialog} className="stop" aria-label={`${title} ${drone.name}`}>
        <h2>{title} · {drone.name}</h2>
        <p>{t(`order/${order}/means`)}</p>
        <label>
          {t("stop/reason")}
          <select value={reason} onChange={(e) => setReason(e.target.value)}>
            {REASONS.map((code) => <option key={code} value={code}>{t(`stop/why/${code}`)}</option>)}
          </select>
        </label>
        {error && <p className="error" role="alert">{error}</p>}
        <div className="actions">
          <button onClick={() => dialog.current?.close()}>{t("stop/cancel")}</button>
          <button className="danger" onClick={send}>{t("order/confirm", { order: title })}</button>
        </div>
      </dialog>
    </div>
  );
}

/** The orders that make sense now; the server decides whether they are taken. */
function fitting(mission: MissionNow | null, heldBy: string | null, account: Account): Order[] {
  const held: Order[] = heldBy === account.account ? ["release-control"] : [];
  if (mission === null) return held;
  const mine = heldBy === null || heldBy === account.account;
  const orders: Order[] = mission.called_home ? [] : ["return-home"];
  if (mine && mission.called_home) orders.push("cancel-return");
  if (mine && !mission.called_home && mission.target === null && mission.state === "flying") {
    orders.push(mission.status === "paused" ? "resume" : "pause");
  }
  if (heldBy === null) orders.push("take-control");
  return [...orders, ...held];
}
