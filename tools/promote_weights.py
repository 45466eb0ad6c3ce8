"""Put exported hazard weights in their place and write their card. Run from the project's root.

Usage: promote_weights.py WEIGHTS.onnx FIGURES.json THRESHOLDS.json
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

from simulators.render_dataset import CLASSES

FOLDER = Path("models/weights/apache-2.0")
HEAD = """\
# Hazards, persons and vehicles in pictures of the simulated district.
# Trained on simulator renders: what it says of real pictures is a hint until real data replaces it.
# Must not be used to judge persons, nor as the only ground for an order.
licence = "Apache-2.0"
source = "this project: simulators/render_dataset.py, models/training.py"
trained_on = "simulator renders: 7,250 pictures, about 35 minutes on two cores"
"""


def main(weights: str, figures: str, thresholds: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    target = FOLDER / "gridwing-hazards.onnx"
    shutil.copyfile(weights, target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    classes = f"classes = {json.dumps(list(CLASSES))}"
    lines = [HEAD, f'sha256 = "{digest}"', classes, "promoted = true"]
    for title, path in (("thresholds", thresholds), ("figures", figures)):
        lines += ["", f"[{title}]"]
        lines += [f"{k} = {json.dumps(v)}" for k, v in json.loads(Path(path).read_text()).items()]
    (FOLDER / "gridwing-hazards.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:4])
