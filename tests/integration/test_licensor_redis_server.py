"""How the licensor reaches its Redis: TLS, a user with few rights, Sentinels, names, IPv6; and which servers it refuses."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator

import pytest
import redis as redis_client

from tests.harness.process import Process, free_port, wait_for
from tests.harness.redis import Redis
from tests.harness.system import Service
from tests.integration.licensors import L, connect, licensor

LICENCES = ("full-8.json",)

# What the licensor's user may do, and no more (docs/OPERATIONS.md).
ACL = ["~{engenho}*", "&{engenho}:*", "-@all", "+@read", "+@write", "-@dangerous", "+fcall", "+function|list", "+function|load",
       "+config|get", "+info", "+time", "+publish", "+subscribe"]


def _works(service: Service) -> None:
    client = connect(service)
    assert client.register(service.name).HasField("registered")
    seat = client.acquire(pools=["full"]).granted
    assert client.release(seat).released.queued
    client.close()


def _reason(service: Service, part: str) -> str:
    return wait_for(f"a reason with '{part}'", lambda: part in (text := service.probe("/readyz").text) and text)


# TLS


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def _certificate(folder: pathlib.Path, name: str, names: str, signer: str | None) -> None:
    """NAME.pem and NAME.key; signed by SIGNER, else by itself."""
    request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
               "-keyout", str(folder / f"{name}.key")]
    if signer is None:
        _openssl(*request, "-x509", "-days", "2", "-out", str(folder / f"{name}.pem"))
        return
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
    _openssl(*request, "-out", str(folder / f"{name}.csr"))
    _openssl("x509", "-req", "-in", str(folder / f"{name}.csr"), "-CA", str(folder / f"{signer}.pem"),
             "-CAkey", str(folder / f"{signer}.key"), "-CAcreateserial", "-days", "2", "-extfile", str(folder / f"{name}.ext"),
             "-out", str(folder / f"{name}.pem"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("certificates")
    _certificate(folder, "ca", "", None)
    _certificate(folder, "other", "", None)
    _certificate(folder, "server", "IP:127.0.0.1,DNS:localhost", "ca")
    _certificate(folder, "elsewhere", "DNS:elsewhere.example", "ca")
    _certificate(folder, "client", "DNS:licensor", "ca")
    return folder


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
    redis.client.execute_command("ACL", "SETUSER", "licensor", "on", ">secret-word", *ACL)
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
    redis.client.execute_command("ACL", "SETUSER", "licensor", "on", ">secret-word", *ACL, "-subscribe")
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


# Sentinels


class Sentinels:
    """A master, two replicas and three Sentinels that watch them."""

    def __init__(self, directory: pathlib.Path):
        words = ("--min-replicas-max-lag", "2", "--repl-diskless-sync-delay", "0")
        self.servers = [Redis(directory / f"redis{n}", *words).start() for n in range(3)]
        master = self.servers[0]
        for replica in self.servers[1:]:
            replica.client.execute_command("REPLICAOF", "127.0.0.1", master.port)
        wait_for("the replicas are there", lambda: all(
            server.client.info("replication")["master_link_status"] == "up" for server in self.servers[1:]))
        for server in self.servers:
            server.client.config_set("min-replicas-to-write", 1)
        self.ports = [free_port() for _ in range(3)]
        self.processes = []
        for number, port in enumerate(self.ports):
            folder = directory / f"sentinel{number}"
            folder.mkdir()
            file = folder / "sentinel.conf"
            file.write_text(f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                            f"sentinel monitor plant 127.0.0.1 {master.port} 2\n"
                            "sentinel down-after-milliseconds plant 1000\nsentinel failover-timeout plant 10000\n")
            self.processes.append(Process(f"sentinel{number}", ["/usr/bin/redis-server", str(file), "--sentinel"],
                                          folder / "log").start())
        wait_for("the Sentinels know one another and the replicas", lambda: all(
            (seen := self.seen(port))["num-other-sentinels"] == "2" and seen["num-slaves"] == "2" for port in self.ports))

    @staticmethod
    def seen(port: int) -> dict[str, str]:
        try:
            words = redis_client.Redis(port=port, decode_responses=True).execute_command("SENTINEL", "MASTER", "plant")
        except redis_client.RedisError as error:
            raise RuntimeError(str(error)) from error
        if isinstance(words, dict):
            return {key: str(value) for key, value in words.items()}
        return dict(zip(words[::2], words[1::2], strict=True))

    @property
    def url(self) -> str:
        return "sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + "/plant"

    def level(self) -> None:
        """Wait until the replicas have all that the master has."""

        def is_level() -> bool:
            master = self.servers[0].client.info("replication")
            return all(master[name]["offset"] == master["master_repl_offset"] for name in ("slave0", "slave1"))

        wait_for("the replicas are level", is_level)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for server in self.servers:
            server.stop()


@pytest.fixture
def sentinels(tmp_path: pathlib.Path) -> Iterator[Sentinels]:
    watched = Sentinels(tmp_path)
    yield watched
    watched.stop()


def test_sentinels_name_the_new_master_and_grants_go_on(tmp_path: pathlib.Path, sentinels: Sentinels) -> None:
    service = licensor(tmp_path, sentinels.url, licences=LICENCES).start()
    client = connect(service)
    client.register()
    seat = client.acquire(pools=["full"]).granted
    sentinels.level()
    sentinels.processes[0].kill()  # one of three may be away too
    sentinels.servers[0].kill()

    def goes_on() -> bool:
        held = [L.HeldSeat(token=seat.token, pool=seat.pool, number=seat.number, kind=2, request=seat.request)]
        if client.heartbeat().heartbeat.store_down:
            return False
        registered = client.register(session=client.session, held=held)
        return registered.HasField("registered") and client.acquire(pools=["full"]).HasField("granted")

    wait_for("seats are granted by the new master", goes_on, seconds=120)
    assert client.acquire(pools=["full"]).refused.reason == L.REFUSAL_REASON_POOL_LIMIT, "the seat of before still counts"
    assert client.release(seat).HasField("released")
    assert service.stop() == 0


def test_a_master_that_no_sentinel_knows_is_told(tmp_path: pathlib.Path, sentinels: Sentinels) -> None:
    service = licensor(tmp_path, sentinels.url.replace("/plant", "/other"), licences=LICENCES).start()
    _reason(service, "knows no master 'other'")
    assert service.stop() == 0
