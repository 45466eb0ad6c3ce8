"""What an adapter made of one message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.observation import Observation
from services.ingest.sample import Sample


@dataclass(frozen=True, slots=True)
class Reply:
    """What the device waits for, sent once what it said is committed."""

    topic: str
    tid: str
    bid: str
    method: str


class Heard(NamedTuple):
    """`samples` are of the device the topic names; everything else is an Observation."""

    observations: tuple[Observation, ...] = ()
    reply: Reply | None = None
    samples: Sequence[Sample] = ()
