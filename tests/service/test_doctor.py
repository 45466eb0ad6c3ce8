"""What the doctor finds on a machine that was set up, and what it says of a wrong address."""

from pathlib import Path

import pytest

from gridwing.cluster import DatabaseUrls
from gridwing.doctor import check
from gridwing.needs import find_node, is_node_new_enough, needs, os_release

ROOT = Path(__file__).resolve().parents[2]


def test_a_machine_that_was_set_up_lacks_nothing_required() -> None:
    lacking = [one for one in check(ROOT) if one.required and not one.ok]
    assert not lacking


def test_each_finding_names_its_cure_when_there_is_one_to_name() -> None:
    assert all(one.ok or one.cure for one in check(ROOT))


def test_the_webs_role_is_looked_at_where_its_database_is_given(
    blank_database_urls: DatabaseUrls,
) -> None:
    app = check(ROOT, blank_database_urls.app)[-1]
    assert (app.ok, app.detail) == (True, "gridwing_app")
    wrong = check(ROOT, blank_database_urls.app.replace("gridwing_app:", "gridwing_app:x"))[-1]
    assert not wrong.ok
    assert "DATABASE_APP_URL" in wrong.cure


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("v18.20.4", False), ("v20.18.9", False), ("v20.19.0", True), ("v21.7.3", False),
        ("v22.11.0", False), ("v22.12.0", True), ("v24.1.0", True), ("", False), ("20.19.0", False),
    ],
)  # fmt: skip
def test_only_a_node_the_web_build_takes_is_taken(version: str, fits: bool) -> None:
    assert is_node_new_enough(version) is fits


@pytest.mark.parametrize(
    ("codename", "identity", "packages"),
    [
        ("bookworm", "debian", {"postgresql-15-postgis-3", "libglib2.0-0", "chromium"}),
        ("trixie", "debian", {"postgresql-17-postgis-3", "libglib2.0-0t64", "chromium"}),
        ("noble", "ubuntu", {"postgresql-16-postgis-3", "libglib2.0-0t64"}),
    ],
)
def test_packages_are_named_as_the_distribution_names_them(
    codename: str, identity: str, packages: set[str]
) -> None:
    wanted = {
        package
        for need in needs({"ID": identity, "VERSION_CODENAME": codename})
        for package in need.packages
    }
    assert packages <= wanted
    assert ("chromium" in wanted) is (identity == "debian")


def test_a_system_that_says_nothing_of_itself_is_no_error(tmp_path: Path) -> None:
    assert os_release(tmp_path / "absent") == {}
    assert find_node(str(tmp_path)) is None
