"""The colours hazards may have, and the other ones their recoloured twins have. BGR 0..1."""

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]
_BAGS: tuple[tuple[Colour, ...], ...] = (
    ((0.05, 0.05, 0.05), (0.09, 0.08, 0.08), (0.75, 0.75, 0.73)),
    ((0.78, 0.78, 0.76), (0.65, 0.68, 0.70), (0.06, 0.06, 0.06), (0.15, 0.12, 0.55)),
    (
        (0.12, 0.10, 0.52),
        (0.74, 0.74, 0.72),
        (0.06, 0.06, 0.06),
        (0.55, 0.30, 0.12),
        (0.18, 0.55, 0.65),
    ),
)
_OTHER_BAGS: tuple[tuple[Colour, ...], ...] = (
    ((0.55, 0.30, 0.12), (0.45, 0.25, 0.10), (0.68, 0.45, 0.25)),
    ((0.18, 0.42, 0.14), (0.15, 0.32, 0.10), (0.30, 0.55, 0.28)),
    ((0.16, 0.55, 0.72), (0.12, 0.45, 0.62), (0.55, 0.62, 0.68)),
    ((0.50, 0.42, 0.62), (0.38, 0.30, 0.52), (0.72, 0.66, 0.78)),
)
_SMOKES: tuple[Colour, ...] = (
    (0.72, 0.71, 0.70),
    (0.50, 0.49, 0.48),
    (0.20, 0.20, 0.20),
    (0.12, 0.12, 0.12),
)
_OTHER_SMOKES: tuple[Colour, ...] = (
    (0.45, 0.58, 0.66),
    (0.32, 0.40, 0.46),
    (0.62, 0.55, 0.50),
    (0.28, 0.25, 0.23),
)
_FLOODS: tuple[Colour, ...] = ((0.25, 0.37, 0.46), (0.30, 0.40, 0.44), (0.20, 0.30, 0.36))
_OTHER_FLOODS: tuple[Colour, ...] = (
    (0.30, 0.29, 0.26),
    (0.10, 0.11, 0.11),
    (0.22, 0.30, 0.22),
    (0.45, 0.46, 0.45),
)
_EARTHS: tuple[tuple[Colour, Colour], ...] = (
    ((0.16, 0.25, 0.36), (0.28, 0.40, 0.52)),
    ((0.36, 0.38, 0.39), (0.58, 0.60, 0.61)),
    ((0.24, 0.30, 0.36), (0.46, 0.52, 0.58)),
)
_OTHER_EARTHS: tuple[tuple[Colour, Colour], ...] = (
    ((0.14, 0.20, 0.42), (0.24, 0.34, 0.60)),
    ((0.12, 0.14, 0.16), (0.24, 0.27, 0.30)),
    ((0.30, 0.48, 0.62), (0.48, 0.66, 0.78)),
    ((0.34, 0.36, 0.30), (0.52, 0.55, 0.47)),
)
_RAFTS: tuple[tuple[Colour, ...], ...] = (
    (
        (0.80, 0.82, 0.82),
        (0.16, 0.28, 0.38),
        (0.10, 0.25, 0.16),
        (0.55, 0.35, 0.15),
        (0.70, 0.72, 0.70),
        (0.22, 0.34, 0.44),
    ),
    (
        (0.12, 0.22, 0.30),
        (0.20, 0.32, 0.40),
        (0.72, 0.74, 0.74),
        (0.10, 0.16, 0.20),
        (0.08, 0.2, 0.14),
    ),
)
_OTHER_RAFTS: tuple[tuple[Colour, ...], ...] = (
    (
        (0.15, 0.12, 0.60),
        (0.15, 0.60, 0.72),
        (0.65, 0.40, 0.15),
        (0.30, 0.62, 0.30),
        (0.8, 0.8, 0.8),
    ),
    ((0.45, 0.60, 0.66), (0.60, 0.68, 0.70), (0.30, 0.42, 0.46), (0.5, 0.55, 0.52)),
    ((0.06, 0.08, 0.08), (0.12, 0.13, 0.13), (0.55, 0.58, 0.6), (0.2, 0.18, 0.18)),
)
_FLAMES: tuple[Colour, ...] = ((0.03, 0.30, 1.0), (0.05, 0.38, 1.0))
_OTHER_FLAMES: tuple[Colour, ...] = ((0.30, 0.72, 1.0), (0.02, 0.14, 0.95), (0.5, 0.8, 1.0))


@dataclass(frozen=True)
class Palette:
    bags: tuple[Colour, ...]
    smoke: Colour
    flood: Colour
    earth: tuple[Colour, Colour]
    raft: tuple[Colour, ...]
    flame: Colour
    """The outer flame; its core is whiter."""


def palette_of(seed: int, recoloured: bool) -> Palette:
    """Return colours by a stream of their own, so that a twin differs in nothing else."""
    rng = np.random.default_rng([seed, 77])
    at = rng.random(6)
    sets = (
        (_OTHER_BAGS, _OTHER_SMOKES, _OTHER_FLOODS, _OTHER_EARTHS, _OTHER_RAFTS, _OTHER_FLAMES)
        if recoloured
        else (_BAGS, _SMOKES, _FLOODS, _EARTHS, _RAFTS, _FLAMES)
    )
    bags, smokes, floods, earths, rafts, flames = sets
    return Palette(
        bags[int(at[0] * len(bags))],
        smokes[int(at[1] * len(smokes))],
        floods[int(at[2] * len(floods))],
        earths[int(at[3] * len(earths))],
        rafts[int(at[4] * len(rafts))],
        flames[int(at[5] * len(flames))],
    )
