// The API's JSON is the Python dataclasses' own fields; names and units are theirs.

export interface Position {
  lat_deg: number;
  lon_deg: number;
}
export type Ring = [number, number][];
export interface Area {
  polygons: Ring[][];
}

export interface Account {
  account: string;
  role: string;
  display: string;
  responder_id: string | null;
}

export interface District {
  code: string;
  name: string;
  schematic: boolean;
  origin: Position;
  communities: { code: string; name: string; area: Area }[];
  cells: { code: string; name: string; area: Area }[];
  police_grids: { code: string; name: string; area: Area }[];
  sites: { code: string; name: string; kind: string; position: Position }[];
  airspaces: { code: string; name: string; kind: string; area: Area }[];
  zones: { code: string; kind: string; area: Area; height_m: number }[];
  docks: { sn: string; name: string; position: Position }[];
  drones: { sn: string; name: string; docked: boolean; gateway_sn: string }[];
  cameras: {
    sn: string;
    name: string;
    position: Position;
    yaw_deg: number;
    hfov_deg: number;
  }[];
}

export interface StopEffect {
  in_the_air: string[];
  taking_off: string[];
  planned: string[];
}

export interface Words {
  code: number | string;
  zh: string;
  en: string;
}

export interface MissionNow {
  mission_id: string;
  drone_sn: string;
  carrier_id: string | null;
  target: Position | null;
  state: string;
  status: string | null;
  called_home: boolean;
  homeward: boolean;
  given_up: { reason: Words; at: string; advice: Words } | null;
}

export interface SkyNow {
  controls: Record<string, { by: string }>;
  ground_stop: { by: string; at: string; reason: string; all_home: boolean } | null;
}

export interface DevicePosition {
  device_sn: string;
  kind: "drone" | "dock" | "camera" | "remote_control";
  at: string;
  position: Position | null;
  heading_deg: number | null;
  height_agl_m: number | null;
  height_rel_m: number | null;
  battery_pct: number | null;
  phase: string | null;
  speed_m_s: number | null;
}

export type DispatchState =
  | "offered"
  | "accepted"
  | "refused"
  | "arrived"
  | "handed_back"
  | "withdrawn";

export interface Dispatch {
  dispatch_id: string;
  incident_id: string;
  responder_id: string;
  force: string;
  state: DispatchState;
  offered_at: string;
  reason: string;
  evidence: string[];
}

export interface Incident {
  incident_id: string;
  state: string;
  kind: string;
  severity: "critical" | "high" | "medium" | "low";
  position: Position;
  cell_code: string | null;
  police_code: string | null;
  opened_at: string;
  changed_at: string;
  source: string;
  hazard_ids: string[];
  evidence: string[];
  dispatches: Dispatch[];
  acknowledged_at: string | null;
  level: number;
  rework_count: number;
  verified_by: string | null;
  outcome: string | null;
}

export interface Entry {
  position: number;
  stream: string;
  version: number;
  kind: string;
  at: string;
  actor: string;
  event: Record<string, unknown>;
}

export interface IncidentPage {
  incident: Incident;
  timeline: Entry[];
}

export interface Responder {
  responder_id: string;
  call_sign: string;
  force: string;
  on_duty: boolean;
  position: Position | null;
  load: number;
}

export interface Task {
  dispatch: Dispatch;
  incident: Incident;
}
