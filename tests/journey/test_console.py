"""An operator's and a grid worker's first look, on the real program in a real browser."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gridwing.demo import PASSWORD
from gridwing.needs import find_chromium

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "docs" / "screens"
START_S, STOP_S = 120.0, 60.0
WAIT_MS = 30_000
"""No journey is a timed test: a busy machine may be slow to sign a second page in."""
INCIDENT_MS = 150_000


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a live demo at ×20; stop it as Ctrl-C does and look at its end."""
    # A file, not a pipe: a pipe nobody reads would hold up the demo as soon as it is full.
    told = tmp_path_factory.mktemp("demo") / "stderr.txt"
    with told.open("w", encoding="utf-8") as sink:
        demo = subprocess.Popen(
            [sys.executable, "-m", "gridwing", "demo", "--rate", "20"], cwd=ROOT, stderr=sink
        )
    try:
        yield _address(demo, told)
        demo.send_signal(signal.SIGINT)
        demo.wait(STOP_S)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 0, told.read_text(encoding="utf-8")


def _address(demo: subprocess.Popen[bytes], told: Path) -> str:
    deadline = time.monotonic() + START_S
    while demo.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"console\s+(http://\S+?)/\s", told.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.2)
    pytest.fail("no console came up:\n" + told.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium: make test installs it")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=str(program), args=flags)
        yield opened
        opened.close()


def sign_in(page: Page, address: str, account: str) -> None:
    page.goto(address)
    page.fill("input[name=account]", account)
    page.fill("input[name=password]", PASSWORD)
    page.click("button.primary")


def test_an_operator_sees_an_incident_and_acknowledges_it(console: str, browser: Browser) -> None:
    foreign: list[str] = []
    page = browser.new_page(viewport={"width": 1366, "height": 768}, locale="zh-CN")
    page.on(
        "request",
        lambda r: (
            foreign.append(r.url) if not r.url.startswith((console, "blob:", "data:")) else None
        ),
    )
    sign_in(page, console, "operator")
    page.wait_for_selector("[data-testid=map][data-ready=true]", timeout=60_000)
    row = page.locator("[data-incident]").first
    expect(row).to_be_visible(timeout=INCIDENT_MS)
    row.click()
    expect(page.get_by_test_id("state")).to_be_visible()
    expect(page.locator(".timeline li").first).to_be_visible()
    acknowledge = page.get_by_role("button", name="确认知悉")
    if acknowledge.count():
        acknowledge.click()
        expect(acknowledge).to_have_count(0)
    page.wait_for_timeout(1500)
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / "console.png")
    page.keyboard.press("Escape")
    expect(page.locator(".incidents")).to_be_visible()
    assert foreign == []


def test_a_wrong_password_is_told_and_nobody_enters(console: str, browser: Browser) -> None:
    page = browser.new_page(locale="zh-CN")
    page.goto(console)
    page.fill("input[name=account]", "auditor")
    page.fill("input[name=password]", "not-the-password")
    page.click("button.primary")
    expect(page.get_by_role("alert")).to_be_visible()


def test_a_grid_worker_sees_the_phone_page_in_both_languages(
    console: str, browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, locale="zh-CN")
    sign_in(page, f"{console}/m", "grid01")
    expect(page.get_by_role("heading", name="我的任务")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="My tasks")).to_be_visible()
    page.screenshot(path=SCREENS / "phone.png")


def test_a_ground_stop_is_shown_confirmed_and_lifted(console: str, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1366, "height": 768}, locale="zh-CN")
    sign_in(page, console, "dispatcher")
    page.get_by_role("button", name="停飞").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="下一步").click()
    expect(dialog.get_by_role("status")).to_contain_text("在飞")
    # Another choice is another thing: it is asked anew.
    dialog.get_by_role("checkbox").uncheck()
    expect(dialog.get_by_role("status")).to_have_count(0)
    dialog.get_by_role("button", name="下一步").click()
    dialog.get_by_role("button", name="确认停飞").click()
    stands = page.get_by_text("停飞中：dispatcher")
    expect(stands).to_be_visible()
    watching = browser.new_page(viewport={"width": 1366, "height": 768}, locale="zh-CN")
    sign_in(watching, console, "operator")
    expect(watching.get_by_text("停飞中：dispatcher")).to_be_visible()
    expect(watching.get_by_role("button", name="解除停飞")).to_have_count(0)
    page.on("dialog", lambda asked: asked.accept())
    page.get_by_role("button", name="解除停飞").click()
    expect(stands).to_have_count(0)
    # It reaches who watches by the stream, without a reload.
    expect(watching.get_by_role("button", name="停飞")).to_be_visible()
