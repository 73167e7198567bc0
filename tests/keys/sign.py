#!/usr/bin/env python3
"""Sign a licence with the test key: sign.py < licence.json > file.json. Only builds for development trust this key.

Without input, `sign.py --all` writes the licences that tests use, beside this file.
"""

from __future__ import annotations

import base64
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
KEY = HERE / "engenho-test-key.private.pem"
NAME = "engenho-test"


def canonical(licence: dict) -> bytes:
    """The bytes that are signed: compact JSON with sorted keys, in UTF-8."""
    return json.dumps(licence, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(licence: dict, key: pathlib.Path = KEY, name: str = NAME) -> dict:
    """The licence file of `licence`."""
    with tempfile.NamedTemporaryFile() as data:
        data.write(canonical(licence))
        data.flush()
        made = subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-inkey", str(key), "-rawin", "-in", data.name],
            capture_output=True,
            check=True,
        )
    return {"licence": licence, "key": name, "signature": base64.b64encode(made.stdout).decode()}


def licence(edition: str, keys: int, **more: object) -> dict:
    return {
        "customer": "Engenho tests",
        "edition": edition,
        "keys": keys,
        "valid_from": "2020-01-01",
        "valid_until": "2099-12-31",
        "grace_days": 14,
        "contact": "licences@example.org",
        **more,
    }


def write(name: str, file: dict) -> None:
    (HERE / name).write_text(json.dumps(file, indent=2, ensure_ascii=False) + "\n")


def write_all() -> None:
    write("enterprise-4.json", sign(licence("enterprise", 4)))
    write("full-8.json", sign(licence("full", 8, interpreters=16, productions=2000, pools={"full": 2})))
    write("lite-1.json", sign(licence("lite", 1)))
    write("expired.json", sign(licence("enterprise", 4, valid_until="2021-12-31")))
    write("foreign.json", sign(licence("enterprise", 4, customer="Somebody else")))
    altered = sign(licence("enterprise", 4))
    altered["licence"]["keys"] = 400
    write("altered.json", altered)


if __name__ == "__main__":
    if sys.argv[1:] == ["--all"]:
        write_all()
    else:
        json.dump(sign(json.load(sys.stdin)), sys.stdout, indent=2, ensure_ascii=False)
        print()
