"""A container's health check: `python -m deploy.health URL` leaves with 0 when URL answers 200."""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4


def main(url: str) -> int:
    """1 when nothing answers or the answer is an error."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - given by us
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError):
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
