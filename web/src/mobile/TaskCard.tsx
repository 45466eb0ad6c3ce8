import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { evidenceUrl, post, upload } from "../api/client";
import type { Task } from "../api/types";
import { timeOfDay } from "../i18n";

const REASONS = ["busy", "too_far", "not_mine"] as const;

interface Props {
  task: Task;
  onDone: () => void;
  onError: (message: string) => void;
}

export function TaskCard({ task, onDone, onError }: Props) {
  const { t } = useTranslation();
  const { dispatch, incident } = task;
  const [photos, setPhotos] = useState<string[]>([]);
  const [busy, setBusy] = useState(false);
  const [refusing, setRefusing] = useState(false);
  const camera = useRef<HTMLInputElement>(null);

  const run = async (job: () => Promise<unknown>) => {
    setBusy(true);
    onError("");
    try {
      await job();
      onDone();
    } catch (problem) {
      onError(problem instanceof Error ? problem.message : String(problem));
    } finally {
      setBusy(false);
    }
  };
  const act = (verb: string, body: unknown = {}) => run(() => post(`/api/dispatches/${dispatch.dispatch_id}/${verb}`, body));
  const take = (files: FileList | null) => {
    const file = files?.[0];
    if (file) void run(async () => setPhotos([...photos, await upload(file)]));
  };
  const { lat_deg, lon_deg } = incident.position;
  const first = incident.evidence[0];
  return (
    <article className="task" data-dispatch={dispatch.dispatch_id}>
      <h2>
        <span className={`severity ${incident.severity}`}>{t(`severity/${incident.severity}`)}</span> {t(`kind/${incident.kind}`)}
      </h2>
      <p>
        {incident.cell_code ?? ""} · {timeOfDay(dispatch.offered_at)} · {t(`dispatch/${dispatch.state}`)}
      </p>
      {first && <img src={evidenceUrl(first, "handling")} alt={t(`kind/${incident.kind}`)} />}
      <a className="button" href={`geo:${lat_deg},${lon_deg}?q=${lat_deg},${lon_deg}`}>{t("phone/navigate")}</a>
      {dispatch.state === "offered" && !refusing && (
        <div className="pair">
          <button className="primary" disabled={busy} onClick={() => void act("accept")}>{t("phone/accept")}</button>
          <button disabled={busy} onClick={() => setRefusing(true)}>{t("phone/refuse")}</button>
        </div>
      )}
      {refusing && (
        <div className="pair">
          {REASONS.map((reason) => (
            <button key={reason} disabled={busy} onClick={() => void act("refuse", { reason })}>
              {t(`phone/refuseWhy/${reason}`)}
            </button>
          ))}
        </div>
      )}
      {dispatch.state === "accepted" && (
        <button className="primary" disabled={busy} onClick={() => void act("arrive")}>{t("phone/arrive")}</button>
      )}
      {dispatch.state === "arrived" && (
        <>
          <input
            ref={camera} type="file" accept="image/*" capture="environment" hidden
            aria-label={t("phone/photo")} onChange={(event) => take(event.target.files)}
          />
          <div className="pair">
            <button disabled={busy} onClick={() => camera.current?.click()}>
              {t("phone/photo")} {photos.length > 0 && `· ${t("phone/photos", { count: photos.length })}`}
            </button>
            <button
              className="primary" disabled={busy || photos.length === 0} title={photos.length === 0 ? t("phone/needPhoto") : ""}
              onClick={() => void act("hand-back", { evidence: photos })}
            >
              {t("phone/handBack")}
            </button>
          </div>
        </>
      )}
      {dispatch.state === "handed_back" && <p className="sent">{t("phone/sent")} · {t(`state/${incident.state}`)}</p>}
    </article>
  );
}
