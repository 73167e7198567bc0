"""How the licensor reaches its Redis: TLS, a user with few rights, names, IPv6; and which servers it refuses."""

from __future__ import annotations

import pathlib

import pytest
import redis as redis_client

from tests.harness.certificates import make_certificates
from tests.harness.process import free_port, wait_for
from tests.harness.redis import LICENSOR_RIGHTS, Redis
from tests.harness.system import Service
from tests.integration.licensors import L, connect, licensor

LICENCES = ("full-8.json",)


def _works(service: Service) -> None:
    client = connect(service)
    assert client.register(service.name).HasField("registered")
    seat = client.acquire(pools=["full"]).granted
    assert client.release(seat).released.queued
    client.close()


def _reason(service: Service, part: str) -> str:
    return wait_for(f"a reason with '{part}'", lambda: part in (text := service.probe("/readyz").text) and text)


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"), "IP:127.0.0.1,DNS:localhost")


def _tls_redis(directory: pathlib.Path, certificates: pathlib.Path, name: str = "server") -> tuple[Redis, int]:
    port = free_port()
    server = Redis(directory / "redis", "--tls-port", str(port), "--tls-cert-file", str(certificates / f"{name}.pem"),
                   "--tls-key-file", str(certificates / f"{name}.key"), "--tls-ca-cert-file", str(certificates / "ca.pem"))
    return server.start(), port


def test_tls_with_a_client_certificate(tmp_path: pathlib.Path, certificates: pathlib.Path) -> None:
    server, port = _tls_redis(tmp_path, certificates)
    words = ("--redis-ca-file", str(certificates / "ca.pem"), "--redis-cert-file", str(certificates / "client.pem"),
             "--redis-key-file", str(certificates / "client.key"))
    for host in ("127.0.0.1", "localhost"):
        service = licensor(tmp_path, f"rediss://{host}:{port}", *words, name=host, licences=LICENCES).start()
        _works(service)
        assert service.stop() == 0
    server.stop()


def test_a_server_that_somebody_else_signed_is_refused(tmp_path: pathlib.Path, certificates: pathlib.Path) -> None:
    server, port = _tls_redis(tmp_path, certificates)
    service = licensor(tmp_path, f"rediss://127.0.0.1:{port}", "--redis-ca-file", str(certificates / "other.pem"),
                       licences=LICENCES).start()
    assert "--redis-ca-file" in _reason(service, "self-signed certificate in certificate chain")
    assert service.stop() == 0
    server.stop()


def test_a_certificate_for_another_name_is_refused(tmp_path: pathlib.Path, certificates: pathlib.Path) -> None:
    server, port = _tls_redis(tmp_path, certificates, "elsewhere")
    service = licensor(tmp_path, f"rediss://127.0.0.1:{port}", "--redis-ca-file", str(certificates / "ca.pem"),
                       licences=LICENCES).start()
    _reason(service, "IP address mismatch")
    assert service.stop() == 0
    server.stop()


def test_files_that_are_no_certificates_are_told(tmp_path: pathlib.Path, certificates: pathlib.Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("this is no certificate\n")
    for words, part in (
        (("--redis-ca-file", str(wrong)), "--redis-ca-file"),
        (("--redis-ca-file", "/does/not/exist"), "--redis-ca-file"),
        (("--redis-cert-file", str(certificates / "client.pem")), "go together"),
        (("--redis-cert-file", str(certificates / "client.pem"), "--redis-key-file", str(certificates / "ca.key")),
         "--redis-key-file"),
    ):
        service = licensor(tmp_path, "rediss://127.0.0.1:1", *words, licences=LICENCES).start()
        assert service.wait() != 0
        assert part in service.tail(), service.tail()


# Users


def test_a_user_with_few_rights_is_enough(tmp_path: pathlib.Path, redis: Redis) -> None:
    redis.client.execute_command("ACL", "SETUSER", "licensor", "on", ">secret-word", *LICENSOR_RIGHTS)
    service = licensor(tmp_path, f"redis://licensor:secret-word@127.0.0.1:{redis.port}", licences=LICENCES).start()
    _works(service)
    client = connect(service)
    client.register("w2")
    assert client.heartbeat().HasField("heartbeat")
    assert client.ask(list_seats=L.ListSeats()).seats.pools
    assert client.ask(explain=L.Explain(request="w2:none")).HasField("refused")
    assert service.metric("engenho_redis_errors_total") == 0
    assert service.stop() == 0
    with pytest.raises(redis_client.RedisError, match="(?i)permission"):
        redis_client.Redis(port=redis.port, username="licensor", password="secret-word").set("other", 1)


def test_a_password_in_a_file(tmp_path: pathlib.Path, redis: Redis) -> None:
    redis.client.config_set("requirepass", "secret-word")
    file = tmp_path / "password"
    file.write_text("secret-word\n")
    file.chmod(0o600)
    service = licensor(tmp_path, redis.url, "--redis-password-file", str(file), licences=LICENCES).start()
    _works(service)
    assert service.stop() == 0


def test_a_right_that_is_missing_is_told(tmp_path: pathlib.Path, redis: Redis) -> None:
    redis.client.execute_command("ACL", "SETUSER", "licensor", "on", ">secret-word", *LICENSOR_RIGHTS, "-subscribe")
    service = licensor(tmp_path, f"redis://licensor:secret-word@127.0.0.1:{redis.port}", licences=LICENCES).start()
    assert "secret-word" not in _reason(service, "'subscribe' command")
    assert service.stop() == 0


# Servers that are refused


def test_replicas_without_min_replicas_to_write_are_refused_with_the_fix(tmp_path: pathlib.Path, redis: Redis) -> None:
    replica = Redis(tmp_path / "replica").start()
    replica.client.execute_command("REPLICAOF", "127.0.0.1", redis.port)
    wait_for("the replica is there", lambda: redis.client.info("replication")["connected_slaves"] == 1)
    service = licensor(tmp_path, redis.url, licences=LICENCES).start()
    assert "min-replicas-to-write 1" in _reason(service, "not safe")
    wait_for("the replica is in step", lambda: replica.client.info("replication")["master_link_status"] == "up")
    redis.client.config_set("min-replicas-to-write", 1)
    _works(service)
    assert service.stop() == 0
    replica.stop()


def test_a_replica_is_no_server_for_seats(tmp_path: pathlib.Path, redis: Redis) -> None:
    replica = Redis(tmp_path / "replica").start()
    replica.client.execute_command("REPLICAOF", "127.0.0.1", redis.port)
    service = licensor(tmp_path, replica.url, licences=LICENCES).start()
    assert "sentinel://" in _reason(service, "is a replica")
    assert service.stop() == 0
    replica.stop()


# Names and numbers


def test_a_server_by_ipv6_and_by_name(tmp_path: pathlib.Path) -> None:
    server = Redis(tmp_path / "redis", "--bind", "127.0.0.1", "::1").start()
    for name, host in (("six", "[::1]"), ("name", "localhost")):
        service = licensor(tmp_path, f"redis://{host}:{server.port}", name=name, licences=LICENCES).start()
        _works(service)
        assert service.stop() == 0
    server.stop()


def test_a_name_that_nobody_knows_is_told_and_blocks_nothing(tmp_path: pathlib.Path) -> None:
    service = licensor(tmp_path, "redis://no-such-host.invalid:6379", licences=LICENCES).start()
    assert "no-such-host.invalid" in _reason(service, "no-such-host.invalid")
    assert service.probe("/livez").ok
    assert service.stop() == 0
