"""One thing wrong in a file for an aircraft."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Where it stands, which element ("-": the place itself), what stands there, and what may."""

    where: str
    element: str
    value: str
    allowed: str

    def __str__(self) -> str:
        found = self.value if self.element == "-" else f"{self.element} is {self.value}"
        return f"{self.where}: {found}; allowed: {self.allowed}"
