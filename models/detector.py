"""What every detector of boxes is, whatever network, backend or process stands behind it."""

from collections.abc import Sequence
from typing import Protocol

from domain.hazard import Detection
from models.boxes import Image


class Detector(Protocol):
    def detect(self, image: Image) -> Sequence[Detection]:
        """Return the boxes found in one picture (h, w, 3) BGR, in its own pixels, surest first."""
        ...
