// District, devices and incidents as GeoJSON features with the properties the layers read.

import type { Area, DevicePosition, District, Incident, Position } from "../api/types";
import i18next from "../i18n";

const CONE_RANGE_M = 90;
const METRES_PER_DEGREE = 111_320;

export function collection(features: GeoJSON.Feature[]): GeoJSON.FeatureCollection {
  return { type: "FeatureCollection", features };
}

function areaFeature(area: Area, properties: Record<string, unknown>): GeoJSON.Feature {
  return { type: "Feature", geometry: { type: "MultiPolygon", coordinates: area.polygons }, properties };
}

function pointFeature(at: Position, properties: Record<string, unknown>): GeoJSON.Feature {
  return { type: "Feature", geometry: { type: "Point", coordinates: [at.lon_deg, at.lat_deg] }, properties };
}

export function districtFeatures(d: District): GeoJSON.Feature[] {
  return [
    ...d.zones.map((z) => areaFeature(z.area, { layer: "zone", kind: z.kind })),
    ...d.cells.map((c) => areaFeature(c.area, { layer: "cell", name: c.name, code: c.code })),
    ...d.police_grids.map((p) => areaFeature(p.area, { layer: "police", name: p.name })),
    ...d.communities.map((c) => areaFeature(c.area, { layer: "community", name: c.name })),
    ...d.airspaces.map((a) => areaFeature(a.area, { layer: "airspace", name: a.name, kind: a.kind })),
    ...d.docks.map((k) => pointFeature(k.position, { layer: "dock", name: k.name })),
  ];
}

/** The ground a fixed camera looks at, as a wedge. */
export function cameraCones(d: District): GeoJSON.Feature[] {
  return d.cameras.map((camera) => {
    const { lat_deg, lon_deg } = camera.position;
    const ring: [number, number][] = [[lon_deg, lat_deg]];
    for (let i = 0; i <= 6; i++) {
      const bearing = ((camera.yaw_deg + camera.hfov_deg * (i / 6 - 0.5)) * Math.PI) / 180;
      ring.push([
        lon_deg +
          (Math.sin(bearing) * CONE_RANGE_M) / (METRES_PER_DEGREE * Math.cos((lat_deg * Math.PI) / 180)),
        lat_deg + (Math.cos(bearing) * CONE_RANGE_M) / METRES_PER_DEGREE,
      ]);
    }
    ring.push([lon_deg, lat_deg]);
    return areaFeature({ polygons: [[ring]] }, { name: camera.name });
  });
}

export function deviceFeatures(d: District, positions: DevicePosition[]): GeoJSON.Feature[] {
  const drones = new Map(d.drones.map((drone) => [drone.sn, drone.name]));
  return positions.flatMap((p) =>
    p.position && p.kind === "drone"
      ? [
          pointFeature(p.position, {
            name: drones.get(p.device_sn) ?? p.device_sn,
            heading: p.heading_deg ?? 0,
            flying: p.phase !== "idle" && p.phase !== "offline" && p.phase !== "preparing",
          }),
        ]
      : [],
  );
}

const OVER = new Set(["closed", "dismissed", "merged"]);

export function incidentFeatures(incidents: Incident[], selected: string | null): GeoJSON.Feature[] {
  return incidents
    .filter((incident) => !OVER.has(incident.state) || incident.incident_id === selected)
    .map((incident) =>
      pointFeature(incident.position, {
        id: incident.incident_id,
        severity: OVER.has(incident.state) ? "over" : incident.severity,
        label: i18next.t(`kind/${incident.kind}`),
        selected: incident.incident_id === selected,
      }),
    );
}
