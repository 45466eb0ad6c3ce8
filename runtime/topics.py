"""Names of every topic and filter. `{sn}` is a device's serial; DJI's words are DJI's."""

FRAME_FILTER = "gridwing/frame/+"
TELEMETRY_FILTER = "gridwing/telemetry/+"

DJI_UP_FILTERS = (
    "thing/product/+/osd",
    "thing/product/+/state",
    "thing/product/+/events",
    "thing/product/+/requests",
    "thing/product/+/drc/up",
    "sys/product/+/status",
)
FRIGATE_FILTERS = ("frigate/reviews", "frigate/events", "frigate/+/+/snapshot")
ONVIF_FILTERS = ("onvif/+/onvif-ej/#", "onvif/+/onvif-mj/#")
INTAKE_FILTERS = (*DJI_UP_FILTERS, TELEMETRY_FILTER, *FRIGATE_FILTERS, *ONVIF_FILTERS)
SERVICES_REPLY_FILTER = "thing/product/+/services_reply"
REQUESTS_FILTER = "thing/product/+/requests"
EVENTS_FILTER = "thing/product/+/events"


def frame(sn: str) -> str:
    return f"gridwing/frame/{sn}"


def telemetry(sn: str) -> str:
    return f"gridwing/telemetry/{sn}"


def osd(sn: str) -> str:
    return f"thing/product/{sn}/osd"


def state(sn: str) -> str:
    return f"thing/product/{sn}/state"


def drc_up(sn: str) -> str:
    return f"thing/product/{sn}/drc/up"


def drc_down(sn: str) -> str:
    return f"thing/product/{sn}/drc/down"


def services(sn: str) -> str:
    return f"thing/product/{sn}/services"


def services_reply(sn: str) -> str:
    return f"thing/product/{sn}/services_reply"


def events(sn: str) -> str:
    return f"thing/product/{sn}/events"


def events_reply(sn: str) -> str:
    return f"thing/product/{sn}/events_reply"


def requests(sn: str) -> str:
    return f"thing/product/{sn}/requests"


def requests_reply(sn: str) -> str:
    return f"thing/product/{sn}/requests_reply"


def status(sn: str) -> str:
    return f"sys/product/{sn}/status"


def status_reply(sn: str) -> str:
    return f"sys/product/{sn}/status_reply"


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether an MQTT filter (`+` one level, `#` the rest) takes a topic."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(levels) or level not in ("+", levels[i]):
            return False
    return len(wanted) == len(levels)
