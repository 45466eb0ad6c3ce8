// Grey ground; colour only for what is wrong. Text and size carry priority beside colour.

import type { ExpressionSpecification, LayerSpecification } from "maplibre-gl";

const only = (layer: string): ExpressionSpecification => ["==", ["get", "layer"], layer];
const FONT = ["Noto Sans CJK SC Regular"];

const severity: ExpressionSpecification = [
  "match", ["get", "severity"],
  "critical", "#ff4d4f", "high", "#ff9a3c", "medium", "#f4d35e", "over", "#6f7b86", "#8fb8de",
];

export const layers: LayerSpecification[] = [
  { id: "background", type: "background", paint: { "background-color": "#1b1f23" } },
  {
    id: "zones", type: "fill", source: "ground", filter: only("zone"),
    paint: {
      "fill-color": [
        "match", ["get", "kind"],
        "river", "#26343f", "road", "#363c42", "building", "#2b3036", "green", "#232b28",
        "fire_lane", "#4a3f3a", "plaza", "#33383d", "#2a2e33",
      ],
    },
  },
  {
    id: "cells", type: "line", source: "ground", filter: only("cell"),
    paint: { "line-color": "#59636d", "line-width": 0.8 },
  },
  {
    id: "police", type: "line", source: "ground", filter: only("police"),
    paint: { "line-color": "#5b7fa6", "line-width": 1.1, "line-dasharray": [4, 3] },
  },
  {
    id: "communities", type: "line", source: "ground", filter: only("community"),
    paint: { "line-color": "#9aa5b0", "line-width": 1.6 },
  },
  {
    id: "airspace", type: "fill", source: "ground", filter: only("airspace"),
    paint: { "fill-color": "#8a5a5a", "fill-opacity": 0.18, "fill-outline-color": "#b06a6a" },
  },
  {
    id: "cameras", type: "fill", source: "cameras",
    paint: { "fill-color": "#c9d3dc", "fill-opacity": 0.1, "fill-outline-color": "#7f8b96" },
  },
  {
    id: "community-names", type: "symbol", source: "ground", filter: only("community"),
    layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": 13 },
    paint: { "text-color": "#aab4be", "text-halo-color": "#1b1f23", "text-halo-width": 1.4 },
  },
  {
    id: "docks", type: "circle", source: "ground", filter: only("dock"),
    paint: {
      "circle-radius": 6, "circle-color": "#1b1f23", "circle-stroke-color": "#d5dde4", "circle-stroke-width": 2,
    },
  },
  {
    id: "dock-names", type: "symbol", source: "ground", filter: only("dock"),
    layout: {
      "text-field": ["get", "name"], "text-font": FONT, "text-size": 11, "text-offset": [0, 1.2], "text-anchor": "top",
    },
    paint: { "text-color": "#d5dde4", "text-halo-color": "#1b1f23", "text-halo-width": 1.4 },
  },
  {
    id: "incident-rings", type: "circle", source: "incidents", filter: ["get", "selected"],
    paint: {
      "circle-radius": 17, "circle-color": "rgba(0,0,0,0)", "circle-stroke-color": "#ffffff", "circle-stroke-width": 2,
    },
  },
  {
    id: "incidents", type: "circle", source: "incidents",
    paint: {
      "circle-radius": ["match", ["get", "severity"], "critical", 10, "high", 8.5, 7],
      "circle-color": severity, "circle-stroke-color": "#14171a", "circle-stroke-width": 2,
    },
  },
  {
    id: "incident-names", type: "symbol", source: "incidents",
    layout: {
      "text-field": ["get", "label"], "text-font": FONT, "text-size": 12, "text-offset": [0, 1.1], "text-anchor": "top",
    },
    paint: { "text-color": "#ffffff", "text-halo-color": "#14171a", "text-halo-width": 1.6 },
  },
  {
    id: "drones", type: "circle", source: "devices",
    paint: {
      "circle-radius": ["case", ["get", "flying"], 6, 4], "circle-color": ["case", ["get", "flying"], "#e8f1f8", "#7f8b96"],
      "circle-stroke-color": "#14171a", "circle-stroke-width": 1.5,
    },
  },
  {
    id: "drone-names", type: "symbol", source: "devices", filter: ["get", "flying"],
    layout: {
      "text-field": ["get", "name"], "text-font": FONT, "text-size": 11, "text-offset": [0, -1.1], "text-anchor": "bottom",
      "text-allow-overlap": true,
    },
    paint: { "text-color": "#e8f1f8", "text-halo-color": "#14171a", "text-halo-width": 1.4 },
  },
];
