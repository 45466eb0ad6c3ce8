// The flights in the air and the drones in hand, read anew when the ledger says that they changed.

import { useCallback, useEffect, useRef, useState } from "react";

import { get } from "../api/client";
import type { MissionNow, SkyNow } from "../api/types";

const RELOAD_AFTER_MS = 1_000;
const AIRBORNE = ["flying", "diverted"];

export interface Flights {
  ofDrone: Map<string, MissionNow>;
  heldBy: Map<string, string>;
  reload: () => void;
}

export function useFlights(changed: number): Flights {
  const [ofDrone, setOfDrone] = useState(new Map<string, MissionNow>());
  const [heldBy, setHeldBy] = useState(new Map<string, string>());
  const timer = useRef(0);
  const reload = useCallback(() => {
    // The first change of many starts the wait, so that a busy sky is still read.
    if (timer.current) return;
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      void get<MissionNow[]>("/api/missions?open_only=true").then((all) => setOfDrone(carriers(all)), () => undefined);
      void get<SkyNow>("/api/sky").then(
        (sky) => setHeldBy(new Map(Object.entries(sky.controls).map(([sn, held]) => [sn, held.by]))),
        () => undefined,
      );
    }, RELOAD_AFTER_MS);
  }, []);
  useEffect(reload, [reload, changed]);
  return { ofDrone, heldBy, reload };
}

/** A look that rides on a patrol is not a flight of its own: the patrol is told. */
function carriers(all: MissionNow[]): Map<string, MissionNow> {
  const flying = all.filter((m) => AIRBORNE.includes(m.state) && m.carrier_id === null);
  return new Map(flying.map((m) => [m.drone_sn, m]));
}
