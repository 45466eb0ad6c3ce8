"""Training the hazard network from labelled pictures: a small centre-point detector in PyTorch.

Objects are peaks of a heat map at an eighth of the picture's size (Zhou, Wang and Krähenbühl,
"Objects as Points", 2019): one channel a class, beside it box size and the centre's offset within
its cell. Small enough to be trained on two cores in half an hour. Needs the `train` extra.

Input is a folder in YOLO form: images/*.jpg, labels/*.txt with `class cx cy w h` in shares.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own habit)

from models.boxes import letterboxed
from models.onnx_centre import HEIGHT_PX, STRIDE, WIDTH_PX

Say = Callable[[str], None]
COLUMNS, ROWS = WIDTH_PX // STRIDE, HEIGHT_PX // STRIDE
OBJECTS_LIMIT = 96


@dataclass(frozen=True, slots=True)
class TrainingPolicy:
    epochs: int = 20
    batch: int = 16
    rate: float = 3e-3
    threads: int = 2
    seed: int = 7


class Network(nn.Module):  # type: ignore[misc]
    """A stem to a quarter of the size, two more stages, one step back up, two heads.

    About 90 million products a picture: small enough to be trained on two cores.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.two = nn.Sequential(_stem(3, 20), _block(20, 20))
        self.three = nn.Sequential(_block(20, 36, 2), _block(36, 36))
        self.four = nn.Sequential(_block(36, 56, 2), _block(56, 56, dilation=2))
        self.back = _block(56, 36)
        self.join = _block(36, 36)
        self.heat = nn.Conv2d(36, classes, 1)
        self.box = nn.Conv2d(36, 4, 1)
        nn.init.constant_(self.heat.bias, -3.0)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return heat (n, classes, rows, columns) before its sigmoid, and box (n, 4, …)."""
        three = self.three(self.two(picture))
        up = F.interpolate(self.back(self.four(three)), scale_factor=2.0, mode="nearest")
        joined = self.join(three + up)
        return self.heat(joined), self.box(joined)


class Exported(nn.Module):  # type: ignore[misc]
    """What runs in production: 0..255 in, probabilities with only their peaks left out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        heat, box = self.network(picture / 255.0)
        heat = heat.sigmoid()
        peaks = F.max_pool2d(heat, 3, stride=1, padding=1)
        return heat * (peaks == heat), box


def _block(inside: int, outside: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(
        inside, outside, 3, stride, padding=dilation, dilation=dilation, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


def _stem(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 6, 4, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


@dataclass(frozen=True, slots=True)
class Pictures:
    """Letterboxed pictures (n, h, w, 3) BGR and their boxes in input pixels: class, x0 y0 x1 y1."""

    images: NDArray[np.uint8]
    boxes: Sequence[NDArray[np.float32]]


def load_pictures(folders: Sequence[Path]) -> Pictures:
    """Read YOLO folders. Raises ValueError naming the label line that does not fit."""
    paths = sorted(p for folder in folders for p in (folder / "images").glob("*.jpg"))
    images = np.empty((len(paths), HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    boxes = []
    for i, path in enumerate(paths):
        image = np.asarray(cv2.imread(str(path)), np.uint8)
        images[i], gain, left, top = letterboxed(image, WIDTH_PX, HEIGHT_PX)
        label = path.parent.parent / "labels" / f"{path.stem}.txt"
        boxes.append(_boxes(label, image.shape[1] * gain, image.shape[0] * gain, left, top))
    return Pictures(images, boxes)


def _boxes(label: Path, w: float, h: float, left: int, top: int) -> NDArray[np.float32]:
    rows = []
    for number, line in enumerate(label.read_text().splitlines(), 1):
        words = line.split()
        if len(words) != 5:
            raise ValueError(f"{label}:{number}: a label is `class cx cy w h`, got {line!r}")
        kind, cx, cy, bw, bh = map(float, words)
        x, y = left + cx * w, top + cy * h
        rows.append([kind, x - bw * w / 2, y - bh * h / 2, x + bw * w / 2, y + bh * h / 2])
    return np.asarray(rows[:OBJECTS_LIMIT], np.float32).reshape(-1, 5)


def targets(
    boxes: NDArray[np.float32], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return (heat, box, mask): Gaussian peaks, log sizes with offsets, where boxes count."""
    heat = np.zeros((classes, ROWS, COLUMNS), np.float32)
    box = np.zeros((4, ROWS, COLUMNS), np.float32)
    mask = np.zeros((ROWS, COLUMNS), bool)
    yy, xx = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    for kind, x0, y0, x1, y1 in boxes:
        w, h = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
        cx, cy = (x0 + x1) / 2 / STRIDE, (y0 + y1) / 2 / STRIDE
        column, row = min(int(cx), COLUMNS - 1), min(int(cy), ROWS - 1)
        if column < 0 or row < 0:
            continue
        sx, sy = max(0.45, w / STRIDE / 6), max(0.45, h / STRIDE / 6)
        peak = np.exp(-(((xx - column) / sx) ** 2 + ((yy - row) / sy) ** 2) / 2)
        np.maximum(heat[int(kind)], peak, out=heat[int(kind)])
        box[:, row, column] = (np.log(w), np.log(h), cx - column, cy - row)
        mask[row, column] = True
    return heat, box, mask


def loss(heat: Tensor, box: Tensor, want_heat: Tensor, want_box: Tensor, mask: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of the heat plus the boxes' L1, per object."""
    p = heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = want_heat.eq(1.0)
    near = -torch.log(p) * (1 - p) ** 2 * peak
    far = -torch.log(1 - p) * p**2 * (1 - want_heat) ** 4 * ~peak
    count = peak.sum().clamp(min=1)
    sizes = (F.l1_loss(box, want_box, reduction="none") * mask[:, None]).sum() / count
    return (near.sum() + far.sum()) / count + sizes


def train(
    folders: Sequence[Path], classes: int, out: Path, policy: TrainingPolicy, say: Say = print
) -> None:
    """Train, writing `out/checkpoint.pt` after every epoch; go on from there when it exists."""
    torch.manual_seed(policy.seed)
    torch.set_num_threads(policy.threads)
    rng = np.random.default_rng(policy.seed)
    say("reading pictures")
    data = load_pictures(folders)
    network = Network(classes).to(memory_format=torch.channels_last)
    steps = policy.epochs * (len(data.images) // policy.batch)
    optimiser = torch.optim.AdamW(network.parameters(), policy.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, policy.rate, steps, pct_start=0.15)
    first = _resume(out, network, optimiser, schedule)
    out.mkdir(parents=True, exist_ok=True)
    for epoch in range(first, policy.epochs):
        began, total = time.monotonic(), 0.0
        order = rng.permutation(len(data.images))
        count = len(order) // policy.batch
        for i in range(count):
            part = order[i * policy.batch : (i + 1) * policy.batch]
            total += _step(network, optimiser, schedule, data, part, classes, rng)
            if i % 50 == 49:
                say(f"epoch {epoch + 1}/{policy.epochs} {i + 1}/{count} loss {total / (i + 1):.3f}")
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch + 1,
        }
        torch.save(state, out / "checkpoint.pt")
        seconds = time.monotonic() - began
        say(json.dumps({"epoch": epoch + 1, "loss": total / count, "seconds": round(seconds)}))


def _resume(out: Path, network: Network, *others: object) -> int:
    path = out / "checkpoint.pt"
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    for other, name in zip(others, ("optimiser", "schedule"), strict=True):
        other.load_state_dict(state[name])  # type: ignore[attr-defined]
    return int(state["epoch"])


def _step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.OneCycleLR,
    data: Pictures,
    part: NDArray[np.int64],
    classes: int,
    rng: np.random.Generator,
) -> float:
    images, wanted = [], []
    for i in part:
        image, boxes = varied(data.images[i], data.boxes[i], rng)
        images.append(image)
        wanted.append(targets(boxes, classes))
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255.0)
    batch = batch.contiguous(memory_format=torch.channels_last)
    heat, box, mask = (torch.from_numpy(np.stack(t)) for t in zip(*wanted, strict=True))
    seen_heat, seen_box = network(batch)
    value = loss(seen_heat, seen_box, heat, box, mask)
    optimiser.zero_grad()
    value.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    optimiser.step()
    schedule.step()
    return float(value.detach())


def varied(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the picture (RGB) mirrored, recoloured and shifted at random, with its boxes."""
    boxes = boxes.copy()
    if rng.random() < 0.5:
        image = image[:, ::-1]
        boxes[:, [1, 3]] = WIDTH_PX - boxes[:, [3, 1]]
    zoom = rng.uniform(0.8, 1.25)
    dx, dy = rng.uniform(-0.1, 0.1, 2) * (WIDTH_PX, HEIGHT_PX)
    move = np.array(
        [
            [zoom, 0, dx + (1 - zoom) * WIDTH_PX / 2],
            [0, zoom, dy + (1 - zoom) * HEIGHT_PX / 2],
        ]
    )
    image = np.asarray(
        cv2.warpAffine(
            np.ascontiguousarray(image), move, (WIDTH_PX, HEIGHT_PX), borderValue=(114,) * 3
        )
    )
    boxes[:, [1, 3]] = boxes[:, [1, 3]] * zoom + move[0, 2]
    boxes[:, [2, 4]] = boxes[:, [2, 4]] * zoom + move[1, 2]
    gain = rng.uniform(0.7, 1.3) * rng.uniform(0.85, 1.15, 3)
    shade = np.clip(image * gain + rng.uniform(-16, 16), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(shade[..., ::-1]), boxes


def export(out: Path, classes: int, target: Path) -> None:
    """Write the checkpoint as ONNX for a single picture of the fixed input size."""
    network = Network(classes)
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    network.load_state_dict(state["network"])
    model = Exported(network).eval()
    picture = torch.zeros(1, 3, HEIGHT_PX, WIDTH_PX)
    torch.onnx.export(
        model,
        (picture,),
        str(target),
        input_names=["picture"],
        output_names=["heat", "box"],
        dynamo=False,
    )
