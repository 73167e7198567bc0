"""`make demo` says so when what it shows is not what happened. (That it passes when all is well is `make demo` itself.)"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

from tests.harness.process import BIN, TOP


def run(demo: pathlib.Path, data: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([demo / "run"], capture_output=True, text=True, timeout=300, check=False,
                          env={**os.environ, "ENGENHO_BIN": str(BIN), "ENGENHO_DATA": str(data), **environment})


def test_a_demo_whose_scripts_fail_says_what_did_not_happen_and_stops(tmp_path: pathlib.Path) -> None:
    shutil.copytree(TOP / "demo", tmp_path / "demo")
    script = tmp_path / "demo/scripts/machine.py"
    script.write_text(script.read_text().replace("    print(f'{event.object} rose", "    assert False\n    print(f'{event.object} rose"))
    done = run(tmp_path / "demo", tmp_path / "data", DEMO_TICKS="15")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT  overheat: " in done.stdout
    assert not (tmp_path / "data/endpoint.json").exists(), "it still runs"


def test_a_demo_never_touches_data_of_others(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/precious").write_text("keep me")
    done = run(TOP / "demo", tmp_path / "data")
    assert done.returncode == 1 and "is not of a demo" in done.stdout
    assert (tmp_path / "data/precious").read_text() == "keep me"
