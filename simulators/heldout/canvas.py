"""The picture while it is made: colour, normal, depth and owner of every pixel, lit at the end."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.heldout.light import Light
from simulators.heldout.solids import NOWHERE, Solid
from simulators.heldout.texture import fractal, nearest, ramp
from simulators.heldout.view import View

F32 = NDArray[np.float32]
NOBODY = 0


@dataclass
class Thing:
    """Something that may be labelled: its class, and every pixel it would fill standing alone."""

    label: str
    number: int
    alone: NDArray[np.bool_]
    whole_px2: float = 0.0
    within_px2: float = 0.0

    @property
    def inside(self) -> float:
        """Share of its parts' boxes that lies within the picture's edges."""
        return self.within_px2 / self.whole_px2 if self.whole_px2 else 1.0


@dataclass
class Canvas:
    view: View
    colour: F32
    normal: F32
    depth: F32
    shine: F32
    """0..1: how much of the sky a surface throws back, on top of its colour."""
    owner: NDArray[np.int16]
    glow: F32
    things: list[Thing] = field(default_factory=list)
    casters: list[Solid] = field(default_factory=list)

    @classmethod
    def blank(cls, view: View) -> "Canvas":
        h, w = view.height_px, view.width_px
        normal = np.zeros((h, w, 3), np.float32)
        normal[..., 2] = 1
        return cls(
            view,
            np.zeros((h, w, 3), np.float32),
            normal,
            np.full((h, w), NOWHERE, np.float32),
            np.zeros((h, w), np.float32),
            np.zeros((h, w), np.int16),
            np.zeros((h, w, 3), np.float32),
        )

    def thing(self, label: str) -> Thing:
        made = Thing(label, len(self.things) + 1, np.zeros(self.depth.shape, np.bool_))
        self.things.append(made)
        return made

    def put(
        self, solid: Solid, thing: Thing | None = None, glow: float = 0.0, shine: float = 0.0
    ) -> None:
        """Cast the rays that may meet a solid and keep what lies nearer than what is there."""
        rect, inside = self.view.rect(solid.corners())
        if thing is not None:
            box = np.ptp(self.view.project(solid.corners())[0], axis=0)
            thing.whole_px2 += float(np.prod(box))
            thing.within_px2 += float(np.prod(box)) * inside
        if rect is None:
            return
        x0, y0, x1, y1 = rect
        window = np.s_[y0:y1, x0:x1]
        rays = self.view.rays[window].reshape(-1, 3)
        reach, own, normals = solid.meet(self.view.origin, rays)
        hit = reach < NOWHERE
        if thing is not None:
            thing.alone[window] |= hit.reshape(y1 - y0, x1 - x0)
        nearer = hit & (reach < self.depth[window].ravel())
        if not nearer.any():
            return
        rows, columns = np.nonzero(nearer.reshape(y1 - y0, x1 - x0))
        rows, columns = rows + y0, columns + x0
        painted = solid.paint(own[nearer], normals[nearer])
        self.colour[rows, columns] = painted
        self.normal[rows, columns] = normals[nearer]
        self.depth[rows, columns] = reach[nearer]
        self.shine[rows, columns] = shine
        self.glow[rows, columns] = glow * painted
        self.owner[rows, columns] = thing.number if thing else NOBODY

    def shadows(self, light: Light) -> F32:
        """Return 0..1 of direct light per pixel: half resolution, softened."""
        rays, depth = self.view.rays[::2, ::2], self.depth[::2, ::2]
        lit = np.ones(depth.shape, np.float32)
        if light.sun_strength < 0.05:
            return np.ones(self.depth.shape, np.float32)
        places = self.view.origin + rays * np.minimum(depth, 900)[..., None]
        places += self.normal[::2, ::2] * 0.06
        sun = light.towards_sun
        for solid in self.casters:
            corners = solid.corners()
            fallen = corners - sun * (np.maximum(corners[:, 2:], 0) / sun[2])
            rect, _ = self.view.rect(np.concatenate([corners, fallen]))
            if rect is None:
                continue
            window = np.s_[rect[1] // 2 : rect[3] // 2 + 1, rect[0] // 2 : rect[2] // 2 + 1]
            spots = places[window].reshape(-1, 3)
            reach, _, _ = solid.meet(spots, np.broadcast_to(sun, spots.shape))
            lit[window] *= np.where(reach < NOWHERE, 0, 1).reshape(lit[window].shape)
        soft = cv2.GaussianBlur(lit, (0, 0), light.shadow_softness_px)
        h, w = self.depth.shape
        return np.asarray(cv2.resize(soft, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)

    def lit(self, light: Light) -> F32:
        """Return the picture in linear light, sky included, before smoke, haze and the lens."""
        facing = np.maximum(self.normal @ light.towards_sun, 0) * self.shadows(light)
        direct = facing[..., None] * (light.sun_colour * light.sun_strength)
        above = (0.65 + 0.35 * self.normal[..., 2:]) * light.ambient
        total = direct + above
        if light.lamps:
            total = total + light.lamp_light(
                self.view.origin + self.view.rays * self.depth[..., None]
            )
        shown = self.colour * total
        self._mirror(shown, light)
        shown += self.glow
        above_ground = self.depth == NOWHERE
        rows = np.flatnonzero(above_ground.any(axis=1))
        if len(rows):
            last = int(rows[-1]) + 1
            sky = light.sky(self.view.directions[:last:2, ::2])
            whole = cv2.resize(sky, (self.view.width_px, last), interpolation=cv2.INTER_LINEAR)
            shown[:last][above_ground[:last]] = whole[above_ground[:last]]
        return np.asarray(shown, np.float32)

    def _mirror(self, shown: F32, light: Light) -> None:
        """Mix in what wet and polished surfaces throw back: the sky, and what stands against it."""
        rows = np.flatnonzero((self.shine > 0.02).any(axis=1))
        if not len(rows):
            return
        # Half resolution across and down: what is mirrored is blurred by ripples in any case.
        part = np.s_[int(rows[0]) : int(rows[-1]) + 1]
        looking, normal = self.view.directions[part][::2, ::2], self.normal[part][::2, ::2]
        mirrored = looking * np.array([1, 1, -1], np.float32)
        mirrored[..., :2] += 0.8 * normal[..., :2]
        back = light.sky(mirrored, glare=0.35)
        # A row of houses and trees stands round every water; its top is ragged.
        bearing = np.arctan2(mirrored[..., 0], mirrored[..., 1])
        top = 0.16 + 0.5 * nearest(fractal(1.2, 5), bearing, 0 * bearing, 6.2832)
        against = ramp(-0.03, 0.03, top - mirrored[..., 2])[..., None]
        back += (light.ambient * 0.34 - back) * against * 0.8
        grazing = 1 - np.abs(looking[..., 2])
        mirror = np.concatenate([back, (0.25 + 0.75 * grazing**2)[..., None]], axis=-1)
        size = self.view.width_px, int(rows[-1]) + 1 - int(rows[0])
        mirror = cv2.resize(mirror, size, interpolation=cv2.INTER_LINEAR)
        amount = self.shine[part][..., None] * mirror[..., 3:]
        shown[part] += (mirror[..., :3] - shown[part]) * amount
