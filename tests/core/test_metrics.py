"""Every metric is described in docs/metrics.md."""

from pathlib import Path

from runtime.metrics import REGISTRY

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "metrics.md"


def test_every_metric_is_described() -> None:
    text = DOCUMENT.read_text()
    for family in REGISTRY.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"`{name}`" in text
