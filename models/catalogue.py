"""Weights, each with its card: licence, origin, classes, thresholds, figures; and which are in use.

Some ship with the project; a user's own lie in a folder of theirs, with cards of the same form. One
of each task is promoted: the one its shipped card says, until a user promotes another. What was
promoted before is kept, so that it can be rolled back to.
"""

import hashlib
import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

WEIGHTS = Path(__file__).parent / "weights"
HAZARDS = "gridwing-hazards"
THINGS = "nanodet"
FACES = "centerface"
PROMOTED_FILE = "promoted.json"
PROMOTIONS_LIMIT = 100
SUFFIXES = (".onnx", ".pt")
TASKS = ("hazards", "things", "faces")
"""Hazards of a district; people and vehicles; where faces are, so that they can be blurred."""


class WeightsError(RuntimeError):
    """A weights file or card is missing, wrong, or not the one asked for; the text says which."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model card: a TOML file beside its weights. `figures` are of the task's own measure.

    `independent` and `same_renderer` hold `map50` and `per_class` (class → AP50) on the frozen
    second renderer and on fresh pictures of the first; empty where nothing was measured.
    """

    name: str
    path: Path
    task: str
    head: str
    licence: str
    source: str
    trained_on: str
    sha256: str
    classes: tuple[str, ...]
    thresholds: Mapping[str, float]
    promoted: bool
    not_for: str
    independent: Mapping[str, Any]
    same_renderer: Mapping[str, Any]
    figures: Mapping[str, Any]


def read_card(path: Path) -> Card:
    """Return the card in a TOML file; its weights lie beside it. Raises WeightsError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        weights = [path.with_suffix(s) for s in SUFFIXES if path.with_suffix(s).is_file()]
        found = Card(
            name=path.stem,
            path=weights[0] if weights else path.with_suffix(SUFFIXES[0]),
            task=data["task"],
            head=data["head"],
            licence=data["licence"],
            source=data["source"],
            trained_on=data["trained_on"],
            sha256=data["sha256"],
            classes=tuple(data["classes"]),
            thresholds=data["thresholds"],
            promoted=data.get("promoted", False),
            not_for=data.get("not_for", ""),
            independent=data.get("independent", {}),
            same_renderer=data.get("same_renderer", {}),
            figures=data.get("figures", {}),
        )
    except KeyError as error:
        raise WeightsError(f"{path.name}: a card needs {error.args[0]}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"{path.name} is no card: {error}") from error
    if found.task not in TASKS:
        raise WeightsError(f"{path.name}: task is one of {', '.join(TASKS)}, not {found.task!r}")
    if set(found.thresholds) != set(found.classes):
        raise WeightsError(f"{path.name}: thresholds name each of the classes once")
    return found


def card_text(head: str, sha256: str, classes: Sequence[str], parts: Mapping[str, Any]) -> str:
    """Return a card as TOML: `head` as it is, then tables. Figures by class take one line each."""
    lines = [head.rstrip(), f'sha256 = "{sha256}"', f"classes = {json.dumps(list(classes))}"]
    for title, values in parts.items():
        lines += ["", f"[{title}]", *(f"{json.dumps(k)} = {_toml(v)}" for k, v in values.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items())
        return "{ " + inside + " }"
    return json.dumps(value, ensure_ascii=False)


def whole(found: Card) -> bool:
    """Tell whether the weights on disk are those the card describes."""
    return found.path.is_file() and digest(found.path) == found.sha256


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, as cards write it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def cards() -> tuple[Card, ...]:
    """Return the cards that ship, by name."""
    return tuple(sorted((read_card(p) for p in WEIGHTS.glob("*/*.toml")), key=lambda c: c.name))


def card(name: str) -> Card:
    """Return a card that ships. Raises WeightsError naming those there are."""
    return Catalogue(None).card(name)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What ships, and what lies in a user's own folder (`own`; None for none)."""

    own: Path | None
    shipped: Sequence[Card] = field(default_factory=cards)

    def cards(self) -> tuple[Card, ...]:
        """Return every card, by name. Raises WeightsError for a wrong one or one name twice."""
        mine = [] if self.own is None else [read_card(p) for p in sorted(self.own.glob("*.toml"))]
        names = {c.name for c in self.shipped}
        for each in mine:
            if each.name in names:
                raise WeightsError(f"{each.name} in {self.own} has the name of one that ships")
        return tuple(sorted([*self.shipped, *mine], key=lambda c: c.name))

    def card(self, name: str) -> Card:
        """Return one card. Raises WeightsError naming those there are."""
        every = self.cards()
        for found in every:
            if found.name == name:
                return found
        raise WeightsError(f"no model {name!r}; there are {', '.join(c.name for c in every)}")

    def promoted(self, task: str) -> Card:
        """Return the card in use for a task. Raises WeightsError when there is none."""
        history = self._promotions().get(task, [])
        if history:
            return self.card(history[-1])
        for found in self.shipped:
            if found.task == task and found.promoted:
                return found
        raise WeightsError(f"no model is promoted for {task}")

    def in_use(self) -> frozenset[str]:
        """Return the names promoted, one a task."""
        return frozenset(self.promoted(task).name for task in TASKS)

    def promote(self, name: str) -> Card:
        """Put a model to use for its task. Raises WeightsError unless it is whole."""
        found = self.card(name)
        if not whole(found):
            raise WeightsError(f"{found.path.name} is missing or differs from its card")
        history = self._promotions()
        before = history.get(found.task, [])
        if self.promoted(found.task).name != name:
            history[found.task] = [*before, name][-PROMOTIONS_LIMIT:]
            self._keep(history)
        return found

    def roll_back(self, task: str) -> Card:
        """Put to use what was before. Raises WeightsError when nothing was."""
        history = self._promotions()
        if not history.get(task):
            raise WeightsError(f"{self.promoted(task).name} is the first in use for {task}")
        history[task].pop()
        self._keep(history)
        return self.promoted(task)

    def add(self, weights: Path, text: str) -> Card:
        """Copy weights into the user's folder with the card `text`. Raises WeightsError."""
        if self.own is None or weights.suffix not in SUFFIXES:
            raise WeightsError(f"{weights.name}: weights end in {' or '.join(SUFFIXES)}")
        if any(c.name == weights.stem for c in self.cards()):
            raise WeightsError(f"there is a model {weights.stem!r} already: rename the file")
        self.own.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(weights, self.own / weights.name)
        path = self.own / f"{weights.stem}.toml"
        path.write_text(text, encoding="utf-8")
        try:
            return read_card(path)
        except WeightsError:
            path.unlink()
            (self.own / weights.name).unlink()
            raise

    def _promotions(self) -> dict[str, list[str]]:
        """Return task → names promoted, the newest last."""
        path = None if self.own is None else self.own / PROMOTED_FILE
        if path is None or not path.is_file():
            return {}
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return {task: [str(name) for name in kept.get(task, [])] for task in TASKS}
        except (ValueError, AttributeError, TypeError) as error:
            raise WeightsError(f"{path} cannot be read, remove it: {error}") from error

    def _keep(self, history: Mapping[str, Sequence[str]]) -> None:
        if self.own is None:
            raise WeightsError("no folder for models of one's own: set GRIDWING_MODELS_DIR")
        self.own.mkdir(parents=True, exist_ok=True)
        draft = self.own / f"{PROMOTED_FILE}.new"
        draft.write_text(json.dumps(history, indent=1), encoding="utf-8")
        draft.replace(self.own / PROMOTED_FILE)
