"""Secrets come as files: a program logs in with what the file holds, and says which file is wrong without showing it."""

from __future__ import annotations

import pathlib

import pytest

from tests.harness import Redis
from tests.harness.process import free_port, listens, wait_for
from tests.harness.system import Service

PASSWORD = "correct-horse-battery"


@pytest.fixture
def redis(tmp_path: pathlib.Path) -> Redis:
    server = Redis(tmp_path / "redis", "--requirepass", PASSWORD)
    (tmp_path / "redis").mkdir(exist_ok=True)
    server.process.start()
    wait_for("Redis listens", lambda: listens(server.port))
    yield server
    server.kill()


def licensor(tmp_path: pathlib.Path, redis: Redis, password: str) -> Service:
    file = tmp_path / "password"
    file.write_text(password + "\n")
    return Service("licensor", tmp_path, "engenho-licensor", [
        "--listen", f"127.0.0.1:{free_port()}", "--redis", redis.url, "--redis-password-file", str(file),
        "--admin-listen", "127.0.0.1:0"])


def test_the_licensor_logs_in_to_redis_with_a_password_from_a_file(tmp_path: pathlib.Path, redis: Redis) -> None:
    service = licensor(tmp_path, redis, PASSWORD).start()
    try:
        wait_for("ready", lambda: service.probe("/readyz").ok)
        assert PASSWORD not in service.log.read_text()
        assert PASSWORD not in pathlib.Path(f"/proc/{service.pid}/cmdline").read_text()
    finally:
        service.stop()


def test_a_wrong_password_is_said_by_the_probe_and_the_process_lives(tmp_path: pathlib.Path, redis: Redis) -> None:
    service = licensor(tmp_path, redis, "wrong-" + PASSWORD).start()
    try:
        reason = wait_for("a reason", lambda: "WRONGPASS" in (text := service.probe("/readyz").text) and text)
        assert PASSWORD not in reason and PASSWORD not in service.log.read_text()
        assert service.probe("/livez").ok
    finally:
        service.stop()


def test_a_file_that_is_not_there_ends_the_start_with_one_sentence(tmp_path: pathlib.Path) -> None:
    service = Service("licensor", tmp_path, "engenho-licensor", [
        "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--redis-password-file", "/nonexistent/password"])
    service.start()
    assert service.wait() not in (0, None)
    assert "redis-password-file: cannot read /nonexistent/password: No such file or directory" in service.tail()
