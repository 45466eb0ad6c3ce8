"""`gridwing device`: which devices are registered, and their accounts at the broker."""

import asyncio
import json
import os
import secrets
import tempfile
from pathlib import Path

import click
import psycopg

from domain.district import District
from gridwing.cli import fail
from gridwing.enrolment import SALT_BYTES, password_line, topics, with_password, with_topics
from gridwing.parts_cli import settings
from runtime.database import open_pool
from runtime.registry import NoDistrict, load
from runtime.settings import required
from services.ingest.devices import Devices

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PASSWORD_BYTES = 24


@click.group()
def device() -> None:
    """Registered devices, and their accounts at the broker."""


async def _district() -> District:
    async with open_pool(required(settings().database_url, "DATABASE_URL"), 1) as pool:
        return await load(pool)


def _devices() -> Devices:
    try:
        return Devices.of(asyncio.run(_district()))
    except (ValueError, NoDistrict, psycopg.Error) as error:
        fail(str(error))
        raise


@device.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def listed(as_json: bool) -> None:
    """Show every serial that may speak, its kind, and the aircraft it speaks for."""
    known = _devices()
    rows = [
        {"sn": sn, "kind": kind.value, "speaks_for": known.drone_of.get(sn)}
        for sn, kind in sorted(known.kinds.items())
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['sn']:24} {row['kind']:16} {row['speaks_for'] or ''}".rstrip())


@device.command()
@click.argument("serial")
@click.option("--passwords", type=FILE, required=True, help="mosquitto's password_file.")
@click.option("--acl", type=FILE, required=True, help="mosquitto's acl_file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def enrol(serial: str, passwords: Path, acl: Path, as_json: bool) -> None:
    """Give a registered device an account of its own; its password is shown once.

    The account may say and hear only the device's own topics. Enrolling again changes the
    password. The broker takes both files over on SIGHUP.
    """
    try:
        says, hears = topics(serial, _devices())
    except KeyError:
        fail(f"SERIAL {serial} is not registered: import it with the district first")
        return
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    line = password_line(serial, password, secrets.token_bytes(SALT_BYTES))
    _write(acl, with_topics(acl.read_text(), serial, says, hears))
    _write(passwords, with_password(passwords.read_text(), serial, line))
    if as_json:
        told = {"username": serial, "password": password, "may_say": says, "may_hear": hears}
        click.echo(json.dumps(told))
        return
    click.echo(f"username  {serial}\npassword  {password}\nnow send the broker a SIGHUP")


@device.command()
@click.argument("serial")
@click.option("--passwords", type=FILE, required=True, help="mosquitto's password_file.")
@click.option("--acl", type=FILE, required=True, help="mosquitto's acl_file.")
def revoke(serial: str, passwords: Path, acl: Path) -> None:
    """Take a device's account away, registered or not."""
    text = passwords.read_text()
    if with_password(text, serial, None) == text:
        fail(f"SERIAL {serial} has no account in {passwords}")
    _write(passwords, with_password(text, serial, None))
    _write(acl, with_topics(acl.read_text(), serial, (), ()))
    click.echo(f"{serial} is revoked; now send the broker a SIGHUP")


def _write(path: Path, text: str) -> None:
    """Replace a file at once, keeping its owner and mode: the broker reads it as another user."""
    before = path.stat()
    number, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(number, "w") as file:
        file.write(text)
        os.fchmod(number, before.st_mode & 0o777)
        if os.geteuid() == 0:
            os.fchown(number, before.st_uid, before.st_gid)
    Path(name).replace(path)
