"""The demo district with its cameras' addresses: two over RTSP, the rest over HTTP."""

from domain.district import District
from simulators.district import generate

RTSP_CAMERAS = 2


def demo_district(seed: int, http_port: int, rtsp_port: int) -> District:
    """Return the district whose cameras are served on these loopback ports."""

    def address(sn: str, index: int) -> str:
        if index < RTSP_CAMERAS:
            return f"rtsp://127.0.0.1:{rtsp_port}/{sn}"
        return f"http://127.0.0.1:{http_port}/cameras/{sn}.jpg"

    return generate(seed, address)
