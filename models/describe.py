"""A first card for weights that have none, from what the file says of itself."""

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.catalogue import WeightsError, card_text, digest
from models.runners import BackendError, OnnxRuntime
from models.ultralytics_process import UltralyticsFailed, UltralyticsProcess

THRESHOLD = 0.4
AGPL = "AGPL-3.0"
"""Of Ultralytics, and so of what it trained: ultralytics.com/license."""


@dataclass(frozen=True, slots=True)
class Described:
    head: str
    classes: tuple[str, ...]
    licence: str


def described(weights: Path, python: str) -> Described:
    """Return what is known of a file. Raises WeightsError when it cannot be opened."""
    try:
        if weights.suffix == ".pt":
            with UltralyticsProcess(weights, python) as process:
                return Described("ultralytics", process.classes, AGPL)
        told = OnnxRuntime(weights).metadata
    except (BackendError, UltralyticsFailed) as error:
        raise WeightsError(str(error)) from error
    licence = AGPL if told.get("license", "").startswith(AGPL) else ""
    return Described("yolo", _names(told.get("names", "")), licence)


def _names(text: str) -> tuple[str, ...]:
    """Return the classes of an Ultralytics export ({0: 'fire', …}); none for any other text."""
    try:
        names = ast.literal_eval(text) if len(text) < 100_000 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if not isinstance(names, dict) or set(names) != set(range(len(names))):
        return ()
    return tuple(str(names[i]) for i in range(len(names)))


def first_card(
    weights: Path,
    found: Described,
    task: str,
    classes: Sequence[str],
    licence: str,
    trained_on: str,
) -> str:
    """Return the card's text; what is not given is what the file says. Raises WeightsError."""
    classes, licence = classes or found.classes, licence or found.licence
    if not classes:
        raise WeightsError(f"{weights.name} does not name its classes: give --classes")
    if found.classes and len(classes) != len(found.classes):
        raise WeightsError(f"{weights.name} has {len(found.classes)} classes, not {len(classes)}")
    if not licence:
        raise WeightsError(f"{weights.name} does not name its licence: give --licence")
    fields = {
        "task": task,
        "head": found.head,
        "licence": licence,
        "source": weights.name,
        "trained_on": trained_on,
    }
    head = "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in fields.items())
    thresholds = dict.fromkeys(classes, THRESHOLD)
    return card_text(head, digest(weights), classes, {"thresholds": thresholds})
