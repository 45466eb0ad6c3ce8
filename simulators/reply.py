"""What a device answers to a service call: the vendor's result code (0 agreed) and its output."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    result: int
    output: dict[str, Any] | None = None
