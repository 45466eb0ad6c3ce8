"""What the server answers when a dock asks (DJI Cloud API requests). Pure.

`flighttask_resource_get` and `flight_areas_get` are the patrol part's to answer. An unanswered
offline_map_get costs a dock 40 s before every take-off, so it is always answered.
"""

from typing import Any

import orjson

from domain.district import District
from domain.observation import DeviceRequest
from runtime.topics import requests_reply

ORGANISATION = "gridwing"


def answer(request: DeviceRequest, district: District, stamp_ms: int) -> tuple[str, bytes] | None:
    """Return (topic, payload) of the reply, or None when it is not ours to give."""
    output = _output(request, district)
    if output is None:
        return None
    body = {
        "tid": request.transaction_id,
        "bid": request.business_id,
        "timestamp": stamp_ms,
        "gateway": request.gateway_sn,
        "method": request.method,
        "data": {"result": 0, "output": output},
    }
    return requests_reply(request.gateway_sn), orjson.dumps(body)


def _output(request: DeviceRequest, district: District) -> dict[str, Any] | None:
    devices = _devices(request)
    match request.method:
        case "config":
            return {"ntp_server_host": "127.0.0.1", "app_id": "", "app_key": "", "app_license": ""}
        case "airport_bind_status":
            return {"bind_status": [_bound(sn, district) for sn in devices]}
        case "airport_organization_get":
            return {"organization_name": district.name}
        case "airport_organization_bind":
            return {"err_infos": [{"sn": sn, "err_code": 0} for sn in devices]}
        case "offline_map_get":
            return {"files": []}
        case "storage_config_get":
            return {"bucket": "", "provider": "minio", "endpoint": "", "object_key_prefix": ""}
        case _:
            return None


def _devices(request: DeviceRequest) -> list[str]:
    """Return the serials a binding request names, ignoring whatever else stands there."""
    rows = request.data.get("devices", request.data.get("bind_devices", []))
    if not isinstance(rows, list):
        return []
    return [str(r["sn"]) for r in rows if isinstance(r, dict) and isinstance(r.get("sn"), str)]


def _bound(sn: str, district: District) -> dict[str, Any]:
    names = {d.sn: d.name for d in district.docks} | {d.sn: d.name for d in district.drones}
    return {
        "sn": sn,
        "is_device_bind_organization": sn in names,
        "organization_id": ORGANISATION,
        "organization_name": district.name,
        "device_callsign": names.get(sn, ""),
    }
