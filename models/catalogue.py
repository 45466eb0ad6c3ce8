"""The weights that ship, each with its card: licence, origin, classes, thresholds, figures."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnxruntime

WEIGHTS = Path(__file__).parent / "weights"
HAZARDS = "gridwing-hazards"
THINGS = "nanodet"
FACES = "centerface"


class WeightsError(RuntimeError):
    """A weights file is missing or is not the one its card describes."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model card: models/weights/<licence>/<name>.toml beside its .onnx."""

    name: str
    path: Path
    licence: str
    source: str
    trained_on: str
    sha256: str
    classes: tuple[str, ...]
    thresholds: Mapping[str, float]
    promoted: bool
    figures: Mapping[str, Any]


@cache
def cards() -> tuple[Card, ...]:
    """Return every card, by name."""
    return tuple(sorted((read_card(p) for p in WEIGHTS.glob("*/*.toml")), key=lambda c: c.name))


def card(name: str) -> Card:
    """Return one card. Raises WeightsError naming those there are."""
    for found in cards():
        if found.name == name:
            return found
    raise WeightsError(f"no model {name!r}; there are {', '.join(c.name for c in cards())}")


def read_card(path: Path) -> Card:
    """Return the card in a TOML file; its weights lie beside it."""
    with path.open("rb") as file:
        data = tomllib.load(file)
    return Card(
        name=path.stem,
        path=path.with_suffix(".onnx"),
        licence=data["licence"],
        source=data["source"],
        trained_on=data["trained_on"],
        sha256=data["sha256"],
        classes=tuple(data.get("classes", ())),
        thresholds=data.get("thresholds", {}),
        promoted=data.get("promoted", False),
        figures=data.get("figures", {}),
    )


def whole(found: Card) -> bool:
    """Tell whether the weights on disk are those the card describes."""
    return found.path.is_file() and _digest(found.path) == found.sha256


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def session(model: str | Card, threads: int = 1) -> "onnxruntime.InferenceSession":
    """Load a model, by name or card, for the CPU. Raises WeightsError.

    One thread makes results repeat exactly.
    """
    import onnxruntime  # noqa: PLC0415  (half a second that listing cards need not wait for)

    found = card(model) if isinstance(model, str) else model
    if not whole(found):
        raise WeightsError(f"{found.path.name} is missing or differs from its card")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(found.path), options, providers=["CPUExecutionProvider"]
    )
