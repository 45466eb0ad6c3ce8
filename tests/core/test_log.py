"""Errors that are logged are counted, whoever logs them."""

import subprocess
import sys

PROGRAM = """
import logging
import structlog
from runtime.log import set_up
from runtime.metrics import REGISTRY
set_up("test", "json")
set_up("test", "json")
log = structlog.get_logger("ours")
log.info("fine")
log.warning("careful")
log.error("broken")
logging.getLogger("asyncio").error("unheard")
logging.getLogger("asyncio").warning("slow")
print(REGISTRY.get_sample_value("gridwing_log_errors_total"))
"""


def test_errors_of_our_own_and_of_libraries_are_counted_once_each() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "2.0\n"
    assert done.stderr.count("broken") == 1
