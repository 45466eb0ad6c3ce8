"""What a part counts, in one Prometheus registry of its own. docs/metrics.md describes each."""

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()

MESSAGES = Counter(
    "gridwing_ingest_messages",
    "Device messages by what became of them",
    ["outcome"],
    registry=REGISTRY,
)
FRAMES = Counter(
    "gridwing_watch_frames",
    "Frames by what became of them",
    ["outcome"],
    registry=REGISTRY,
)
LOOKS = Counter(
    "gridwing_watch_looks", "Frames put to the detector by why", ["why"], registry=REGISTRY
)
CROPS = Counter(
    "gridwing_watch_crops", "Pieces of frames looked at beside the whole", registry=REGISTRY
)
MAVLINK_MESSAGES = Counter(
    "gridwing_mavlink_messages",
    "MAVLink messages by what became of them",
    ["outcome"],
    registry=REGISTRY,
)
MAVLINK_SAMPLES = Counter(
    "gridwing_mavlink_samples",
    "Samples of MAVLink vehicles by what became of them",
    ["outcome"],
    registry=REGISTRY,
)
LOG_ERRORS = Counter("gridwing_log_errors", "Log lines of level error or worse", registry=REGISTRY)
STREAM_CLIENTS = Gauge(
    "gridwing_stream_clients", "Screens following the live stream", registry=REGISTRY
)
HTTP_REQUESTS = Counter(
    "gridwing_http_requests", "HTTP answers by status class", ["status"], registry=REGISTRY
)
