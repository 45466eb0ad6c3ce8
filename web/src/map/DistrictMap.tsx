// One map: the district's ground in greys, what moves in light, what is wrong in colour.

import "maplibre-gl/dist/maplibre-gl.css";

import {
  type GeoJSONSource,
  Map as GlMap,
  NavigationControl,
  ScaleControl,
  setWorkerUrl,
  type StyleSpecification,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import { useEffect, useRef } from "react";

import type { DevicePosition, District, Incident } from "../api/types";
import { cameraCones, collection, deviceFeatures, districtFeatures, incidentFeatures } from "./features";
import { layers } from "./layers";

setWorkerUrl(workerUrl);

interface Props {
  district: District;
  positions: DevicePosition[];
  incidents: Incident[];
  selected: string | null;
  onSelect: (incidentId: string) => void;
}

export function DistrictMap({ district, positions, incidents, selected, onSelect }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const map = useRef<GlMap | null>(null);
  const ready = useRef(false);
  const select = useRef(onSelect);
  select.current = onSelect;
  const data = useRef({ positions, incidents, selected });
  data.current = { positions, incidents, selected };

  useEffect(() => {
    if (!holder.current) return;
    const made = new GlMap({
      container: holder.current,
      style: style(district),
      bounds: bounds(district),
      fitBoundsOptions: { padding: 24 },
      attributionControl: false,
      dragRotate: false,
      localIdeographFontFamily: "'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif",
    });
    map.current = made;
    made.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
    made.addControl(new ScaleControl({ unit: "metric" }), "bottom-left");
    made.on("load", () => {
      ready.current = true;
      paint(made, district, data.current);
      made.getContainer().dataset.ready = "true";
    });
    made.on("click", "incidents", (event) => {
      const id: unknown = event.features?.[0]?.properties["id"];
      if (typeof id === "string") select.current(id);
    });
    made.on("mouseenter", "incidents", () => (made.getCanvas().style.cursor = "pointer"));
    made.on("mouseleave", "incidents", () => (made.getCanvas().style.cursor = ""));
    return () => {
      ready.current = false;
      made.remove();
    };
  }, [district]);

  useEffect(() => {
    if (map.current && ready.current) paint(map.current, district, data.current);
  }, [district, positions, incidents, selected]);

  return <div ref={holder} className="map" data-testid="map" />;
}

function paint(
  map: GlMap,
  district: District,
  data: { positions: DevicePosition[]; incidents: Incident[]; selected: string | null },
): void {
  const set = (name: string, features: GeoJSON.Feature[]) =>
    (map.getSource(name) as GeoJSONSource | undefined)?.setData(collection(features));
  set("devices", deviceFeatures(district, data.positions));
  set("incidents", incidentFeatures(data.incidents, data.selected));
}

function style(district: District): StyleSpecification {
  const empty = collection([]);
  return {
    version: 8,
    sources: {
      ground: { type: "geojson", data: collection(districtFeatures(district)) },
      cameras: { type: "geojson", data: collection(cameraCones(district)) },
      devices: { type: "geojson", data: empty },
      incidents: { type: "geojson", data: empty },
    },
    layers,
  };
}

function bounds(district: District): [number, number, number, number] {
  let [west, south, east, north] = [180, 90, -180, -90];
  for (const cell of district.cells)
    for (const polygon of cell.area.polygons)
      for (const [lon, lat] of polygon[0] ?? []) {
        west = Math.min(west, lon);
        east = Math.max(east, lon);
        south = Math.min(south, lat);
        north = Math.max(north, lat);
      }
  return [west, south, east, north];
}
