// The live stream: ledger entries with ids, positions without. The browser resumes by Last-Event-ID.

import { useEffect, useRef, useState } from "react";

import type { DevicePosition, Entry } from "../api/types";

const STALE_AFTER_MS = 15_000;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 15_000;

export interface LiveState {
  connected: boolean;
  positions: DevicePosition[];
}

/** Follow /api/stream. `onEntry` hears every ledger entry; `onReset` means: load everything anew. */
export function useLive(onEntry: (entry: Entry) => void, onReset: () => void): LiveState {
  const [connected, setConnected] = useState(false);
  const [positions, setPositions] = useState<DevicePosition[]>([]);
  const handlers = useRef({ onEntry, onReset });
  handlers.current = { onEntry, onReset };

  useEffect(() => {
    let source: EventSource | null = null;
    let retryMs = RETRY_FIRST_MS;
    let timer = 0;
    let heardAt = Date.now();
    let lastId = "";

    const open = () => {
      source = new EventSource(lastId ? `/api/stream?after=${lastId}` : "/api/stream");
      source.onopen = () => {
        retryMs = RETRY_FIRST_MS;
        heardAt = Date.now();
        setConnected(true);
      };
      source.addEventListener("entry", (event) => {
        heardAt = Date.now();
        lastId = event.lastEventId || lastId;
        handlers.current.onEntry(JSON.parse(event.data) as Entry);
      });
      source.addEventListener("positions", (event) => {
        heardAt = Date.now();
        setPositions((old) => newest(old, JSON.parse(event.data) as DevicePosition[]));
      });
      source.addEventListener("reset", (event) => {
        lastId = event.lastEventId || lastId;
        handlers.current.onReset();
      });
      source.onerror = () => {
        setConnected(false);
        if (source?.readyState === EventSource.CLOSED) {
          timer = window.setTimeout(open, retryMs * (0.5 + Math.random()));
          retryMs = Math.min(retryMs * 2, RETRY_LAST_MS);
        }
      };
    };
    open();
    const watchdog = window.setInterval(() => {
      if (Date.now() - heardAt > STALE_AFTER_MS) setConnected(false);
    }, 2_000);
    return () => {
      source?.close();
      window.clearTimeout(timer);
      window.clearInterval(watchdog);
    };
  }, []);
  return { connected, positions };
}

function newest(old: DevicePosition[], changed: DevicePosition[]): DevicePosition[] {
  const byDevice = new Map(old.map((p) => [p.device_sn, p]));
  for (const p of changed) byDevice.set(p.device_sn, p);
  return [...byDevice.values()];
}
