"""A small size of `make fuzz`: the run over every decoder ends without a finding."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNS = 20_000


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this platform")
def test_the_decoders_take_or_refuse_whatever_the_fuzzer_makes() -> None:
    done = subprocess.run(
        [sys.executable, "tests/fuzz/decoders.py", f"-runs={RUNS}", "-seed=1"],
        cwd=ROOT, env={"PYTHONPATH": "."}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran is not None
    assert int(ran[1]) >= RUNS
