"""Programs end when told to, and parts end with whoever started them."""

import os
import signal
import subprocess
import sys

import pytest

from gridwing.stopping import STOPPING, SUPERVISED

PROGRAM = """
import asyncio
from gridwing.stopping import run_until_stopped

async def work():
    try:
        print("working", flush=True)
        await asyncio.Event().wait()
    finally:
        print("tidied", flush=True)

try:
    run_until_stopped(work())
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
LIMIT_S = 20


def started(**environment: str) -> subprocess.Popen[str]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert program.stdout is not None
    assert program.stdout.readline() == "working\n"
    return program


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_ends_it_tidily_even_where_the_shell_ignores_ctrl_c(
    number: signal.Signals,
) -> None:
    program = started()
    program.send_signal(number)
    assert program.communicate(timeout=LIMIT_S)[0] == "tidied\nstopped\n"


def test_a_part_ends_when_its_supervisor_is_gone() -> None:
    program = started(**{SUPERVISED: "1"})
    assert program.communicate(timeout=LIMIT_S)[0] == "tidied\nstopped\n"
