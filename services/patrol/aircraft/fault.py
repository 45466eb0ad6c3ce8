"""One thing wrong in a file for an aircraft."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Where it stands, which element, what stands there, and what may."""

    where: str
    element: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.where}: {self.element} is {self.value}; allowed: {self.allowed}"
