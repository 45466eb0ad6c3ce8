"""`gridwing doctor`: what is missing, and how to get it."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gridwing.doctor import check

ROOT = Path(__file__).resolve().parent.parent


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(as_json: bool) -> None:
    """Look at the machine and this checkout; leave with 1 when something required is missing.

    With DATABASE_APP_URL set, the web part's database role is looked at too.
    """
    findings = check(ROOT, os.environ.get("DATABASE_APP_URL", ""))
    ok = all(one.ok for one in findings if one.required)
    if as_json:
        click.echo(json.dumps({"ok": ok, "findings": [asdict(one) for one in findings]}))
    else:
        for one in findings:
            mark = "ok" if one.ok else "MISSING" if one.required else "absent"
            click.echo(f"{mark:8}{one.name}: {one.detail}")
            if not one.ok:
                click.echo(f"        {'needed' if one.required else 'for tests'}: {one.cure}")
    sys.exit(0 if ok else 1)
