"""Our own telemetry for devices that can be programmed: `gridwing/telemetry/{sn}`. Pure.

One JSON object, or an array of at most SAMPLES_LIMIT.
"""

from datetime import datetime

import msgspec

from services.ingest.devices import Devices
from services.ingest.fields import PAYLOAD_LIMIT_BYTES, Unreadable
from services.ingest.heard import Heard
from services.ingest.sample import Sample, Samples

PREFIX = len("gridwing/telemetry/")

_DECODER = msgspec.json.Decoder(Sample | Samples)


def read(topic: str, payload: bytes, received_at: datetime, devices: Devices) -> Heard:
    """Decode one message of gridwing/telemetry/{sn}. Raises Unreadable."""
    sn = topic[PREFIX:]
    if sn not in devices.kinds:
        raise Unreadable(f"device {sn} is not registered")
    if len(payload) > PAYLOAD_LIMIT_BYTES:
        raise Unreadable(f"payload of {len(payload)} bytes; the limit is {PAYLOAD_LIMIT_BYTES}")
    try:
        said = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from None
    samples = said if isinstance(said, list) else [said]
    for sample in samples:
        if sample.device_sn != sn and sample.device_sn is not None:
            raise Unreadable(f"device_sn {sample.device_sn!r} speaks on the topic of {sn}")
    return Heard((), None, samples)
