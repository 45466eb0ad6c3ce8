"""Why something is not done, as a value: what, which field, and the cure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` is stable and for machines; `field` names what does not fit; `cure` is for people."""

    code: str
    field: str
    cure: str
