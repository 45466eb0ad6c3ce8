// The grid worker's phone: duty, tasks, and one task at a time from accept to hand back.

import { useCallback, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { get, post } from "../api/client";
import type { Account, Entry, Task } from "../api/types";
import { switchLanguage } from "../i18n";
import { useLive } from "../stream/live";
import { TaskCard } from "./TaskCard";

export function Phone({ account, leave }: { account: Account; leave: () => void }) {
  const { t } = useTranslation();
  const [tasks, setTasks] = useState<Task[]>([]);
  const [onDuty, setOnDuty] = useState(true);
  const [error, setError] = useState("");
  const reload = useCallback(() => {
    get<{ items: Task[] }>("/api/tasks").then((page) => setTasks(page.items), (problem: Error) => setError(problem.message));
  }, []);
  const onEntry = useCallback(
    (entry: Entry) => {
      if (entry.stream.startsWith("incident/")) reload();
    },
    [reload],
  );
  const live = useLive(onEntry, reload);
  useEffect(reload, [reload]);

  const duty = async (next: boolean) => {
    try {
      await post("/api/duty", { on_duty: next });
      setOnDuty(next);
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
    }
  };
  const open = tasks.filter((task) => ["offered", "accepted", "arrived", "handed_back"].includes(task.dispatch.state));
  return (
    <div className="phone-page">
      <header>
        <strong>{account.display}</strong>
        <span className={live.connected ? "live" : "live stale"} role="status">
          {live.connected ? t("live/on") : "…"}
        </span>
        <span className="spring" />
        <button className={onDuty ? "duty on" : "duty"} aria-pressed={onDuty} onClick={() => void duty(!onDuty)}>
          {onDuty ? t("phone/onDuty") : t("phone/offDuty")}
        </button>
      </header>
      <main>
        <h1>{t("phone/tasks")}</h1>
        {error && <p role="alert" className="error">{error}</p>}
        {open.length === 0 && <p className="empty">{t("phone/none")}</p>}
        {open.map((task) => (
          <TaskCard key={task.dispatch.dispatch_id} task={task} onDone={reload} onError={setError} />
        ))}
      </main>
      <footer>
        <button className="quiet" onClick={switchLanguage}>{t("lang")}</button>
        <button className="quiet" onClick={leave}>{t("login/leave")}</button>
      </footer>
    </div>
  );
}
