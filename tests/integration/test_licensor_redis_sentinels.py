"""The licensor on Redis with Sentinels: fail-over, TLS to all of them, passwords of the Sentinels' own."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.harness.certificates import make_certificates
from tests.harness.process import BIN, wait_for
from tests.harness.redis import LICENSOR_RIGHTS
from tests.harness.redis_sentinels import Sentinels
from tests.harness.system import Service
from tests.integration.licensors import L, connect, licensor

LICENCES = ("full-8.json",)
WORD = "sentinel-word"  # the Sentinels' password; the servers' is another


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"), "IP:127.0.0.1")


@pytest.fixture
def watch(tmp_path: pathlib.Path) -> Iterator[Callable[..., Sentinels]]:
    started = []

    def start(*arguments: int, **more: object) -> Sentinels:
        started.append(Sentinels(tmp_path, *arguments, **more))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for watched in started:
        watched.stop()


def _words(directory: pathlib.Path, password: str) -> tuple[str, str]:
    file = directory / f"{password}.txt"
    file.write_text(f"{password}\n")
    file.chmod(0o600)
    return "--redis-sentinel-password-file", str(file)


def _tls_words(certificates: pathlib.Path) -> tuple[str, ...]:
    return ("--redis-ca-file", str(certificates / "ca.pem"), "--redis-cert-file", str(certificates / "client.pem"),
            "--redis-key-file", str(certificates / "client.key"))


def _reason(service: Service, part: str) -> str:
    return wait_for(f"a reason with '{part}'", lambda: part in (text := service.probe("/readyz").text) and text)


def _survives_its_master(service: Service, watched: Sentinels) -> None:
    client = connect(service)
    client.register()
    seat = client.acquire(pools=["full"]).granted
    watched.level()
    watched.processes[0].kill()  # one of three may be away too
    watched.servers[0].kill()

    def goes_on() -> bool:
        held = [L.HeldSeat(token=seat.token, pool=seat.pool, number=seat.number, kind=2, request=seat.request)]
        if client.heartbeat().heartbeat.store_down:
            return False
        registered = client.register(session=client.session, held=held)
        return registered.HasField("registered") and client.acquire(pools=["full"]).HasField("granted")

    wait_for("seats are granted by the new master", goes_on, seconds=120)
    assert client.acquire(pools=["full"]).refused.reason == L.REFUSAL_REASON_POOL_LIMIT, "the seat of before still counts"
    assert client.release(seat).HasField("released")


def test_sentinels_name_the_new_master_and_grants_go_on(tmp_path: pathlib.Path, watch: Callable[..., Sentinels]) -> None:
    watched = watch()
    service = licensor(tmp_path, watched.url(), licences=LICENCES).start()
    _survives_its_master(service, watched)
    assert service.stop() == 0


def test_all_of_it_over_tls_with_passwords(tmp_path: pathlib.Path, watch: Callable[..., Sentinels],
                                           certificates: pathlib.Path) -> None:
    watched = watch(certificates=certificates, password=WORD)
    for server in watched.servers:
        server.client.execute_command("ACL", "SETUSER", "licensor", "on", ">server-word", *LICENSOR_RIGHTS)
    service = licensor(tmp_path, watched.url("licensor:server-word"), *_tls_words(certificates), *_words(tmp_path, WORD),
                       licences=LICENCES).start()
    _survives_its_master(service, watched)
    assert service.stop() == 0
    assert not any(word in service.tail(1000) for word in (WORD, "server-word"))


def test_a_sentinel_that_somebody_else_signed_is_refused(tmp_path: pathlib.Path, watch: Callable[..., Sentinels],
                                                         certificates: pathlib.Path) -> None:
    watched = watch(1, 1, certificates=certificates)
    service = licensor(tmp_path, watched.url(), "--redis-ca-file", str(certificates / "other.pem"), licences=LICENCES).start()
    assert "--redis-ca-file" in _reason(service, f"certificate of redis at 127.0.0.1:{watched.ports[0]} is refused")
    assert service.stop() == 0


def test_a_master_that_no_sentinel_knows_is_told(tmp_path: pathlib.Path, watch: Callable[..., Sentinels]) -> None:
    service = licensor(tmp_path, watch(1, 1).url().replace("/plant", "/other"), licences=LICENCES).start()
    _reason(service, "knows no master 'other'")
    assert service.stop() == 0


def test_passwords_of_the_sentinels(tmp_path: pathlib.Path, watch: Callable[..., Sentinels]) -> None:
    watched = watch(1, 1, password=WORD,
                    settings=("user asker on >asker-word -@all +sentinel|get-master-addr-by-name",))
    place = f"the Sentinel at 127.0.0.1:{watched.ports[0]}"
    for name, words, sentence in (
        ("none", (), f"{place} wants a password; give it with --redis-sentinel-password-file"),
        ("wrong", _words(tmp_path, "wrong-word"), f"{place} refused the log-in: WRONGPASS"),
        ("user", ("--redis-sentinel-user", "nobody", *_words(tmp_path, WORD)), f"{place} refused the log-in: WRONGPASS"),
    ):
        service = licensor(tmp_path, watched.url(), *words, name=name, licences=LICENCES).start()
        reason = _reason(service, sentence)
        assert len(reason.strip().splitlines()) == 1
        assert service.stop() == 0
        assert "-word" not in reason + service.tail(1000)
        assert service.tail(1000).count("redis is away") == 1, "told once, however often it is tried"
    for name, words in (("default", _words(tmp_path, WORD)),
                        ("asker", ("--redis-sentinel-user", "asker", *_words(tmp_path, "asker-word")))):
        service = licensor(tmp_path, watched.url(), *words, name=name, licences=LICENCES).start()
        client = connect(service)
        assert client.register(name).HasField("registered")
        client.close()
        assert service.stop() == 0


@pytest.mark.parametrize(("url", "words", "part"), [
    ("redis://127.0.0.1:1", ("--redis-sentinel-password-file", "/does/not/matter"), "--redis names none"),
    ("redis://127.0.0.1:1", ("--redis-sentinel-user", "asker"), "--redis names none"),
    ("sentinel://127.0.0.1:1/plant", ("--redis-sentinel-user", "asker"), "needs --redis-sentinel-password-file"),
    ("sentinel://127.0.0.1:1/plant", ("--redis-sentinel-password-file", "/does/not/exist"), "/does/not/exist"),
])
def test_options_that_do_not_fit_end_with_one_sentence(url: str, words: tuple[str, ...], part: str) -> None:
    done = subprocess.run([BIN / "engenho-licensor", "--redis", url, *words], capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert lines[0].startswith("engenho-licensor: ") and part in lines[0]
