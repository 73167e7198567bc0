"""What people get wrong: one clear sentence that says what, where and what to do; nothing is written, and the producer lives."""

from __future__ import annotations

import io
import json
import pathlib
import socket
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator

import pytest

from tests.harness.kafka import Kafka
from tests.harness.process import BIN
from tests.integration.api import TOKEN, Api


@pytest.fixture(scope="module")
def api(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(kafka, tmp_path_factory.mktemp("bad")) as running:
        running.set_up()
        yield running
        assert running.service.alive()


@pytest.mark.parametrize(("yaml", "sentence"), [
    ("kind: [", "not YAML"),
    ("- 1\n", "a document must be a map, not a whole number, line 1"),
    ("kind: Wheel\nname: a\n", "unknown kind 'Wheel', line 1: it takes Application, Production, Agent or Connection"),
    ("kind: Agent\nname: Hot Stuff\n", "name 'Hot Stuff' is not an agent's name: 1 to 40 of a-z, 0-9 and -"),
    ("kind: Production\nname: p\nspec: {application: overheat, retris: 3}\n", "unknown key 'retris' in spec, line 3: did you mean 'retries'?"),
    ("kind: Production\nname: p\nspec: {application: nothing}\n", "production 'p' names application 'nothing', which is not there: apply it too"),
    ("kind: Production\nname: p\nspec: {application: overheat, trigger: {schedule: {cron: '61 * * * *'}}}\n", "spec.trigger.schedule.cron, line 3: "),
    ("kind: Production\nname: p\nspec: {application: overheat, trigger: {schedule: {cron: '1 * * * *', timeZone: Brazil/Nowhere}}}\n", "Brazil/Nowhere"),
    ("kind: Production\nname: p\nspec: {application: overheat, trigger: {data: {connection: plant, object: o, when: value => 3}}}\n", "spec.trigger.data.when, line 3: "),
    ("kind: Production\nname: p\nspec: {application: overheat, seat: {pools: [a, b, a]}}\n", "spec.seat.pools, line 3, names pool a twice: the chain loops"),
    ("kind: Production\nname: p\nspec: {application: overheat, seat: {pools: [a, b, c, d, e, f, g, h, i]}}\n", "must be a list of 1 to 8 pools"),
    ("kind: Agent\nname: a\nname: b\n", "key 'name' is there twice, line 3: remove one"),
    ("", "the body holds 0 documents: 1 to 1000 are taken"),
])
def test_a_wrong_definition(api: Api, yaml: str, sentence: str) -> None:
    assert sentence in api.refused(400, "POST", "/v1/apply", data=yaml)["error"]


def _tar(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        fill(archive)
    return out.getvalue()


def _file(name: str, size: int = 1) -> Callable[[tarfile.TarFile], None]:
    def fill(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = size
        archive.addfile(info, io.BytesIO(bytes(size)))
    return fill


def _link(archive: tarfile.TarFile) -> None:
    info = tarfile.TarInfo("passwd")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive.addfile(info)


def _zip(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "x")
    return out.getvalue()


@pytest.mark.parametrize(("file", "make", "sentence"), [
    pytest.param("p.tar.gz", lambda: _tar(_file("../evil.py")), "'../evil.py', which would be written outside of its folder",
                 id="up and out"),
    pytest.param("p.tar.gz", lambda: _tar(_file("/etc/evil.py")), "'/etc/evil.py', which would be written outside of its folder",
                 id="an absolute path"),
    pytest.param("p.zip", lambda: _zip("a/../../evil.py"), "which would be written outside of its folder", id="up and out of a zip"),
    pytest.param("p.tar.gz", lambda: _tar(_link), "a link, 'passwd': pack the file itself", id="a link"),
    pytest.param("p.tar.gz", lambda: _tar(_file("bomb", 600 * 1024 * 1024)), "is more than 512 MiB when unpacked", id="a bomb"),
    pytest.param("p.tar.gz", lambda: b"no archive at all", "is not a package", id="no archive"),
    pytest.param("p.tar.gz", lambda: _tar(_file("main.py"))[:-20], "p.tar.gz is", id="cut off"),
    pytest.param("main.py", lambda: b"", "main.py is empty", id="empty"),
    pytest.param("main.py", lambda: b"\xff\xfe", "main.py is not Python source in UTF-8", id="not UTF-8"),
    pytest.param("a/b.py", lambda: b"x", "the file's name must be a name without folders", id="a folder in the name"),
])
def test_a_wrong_package(api: Api, file: str, make: Callable[[], bytes], sentence: str) -> None:
    data = make()
    assert sentence in api.refused(400, "POST", "/v1/packages/bad", data=data, params={"file": file})["error"]
    api.refused(404, "GET", "/v1/packages/bad")


def test_a_package_without_a_file_name_or_with_a_wrong_main(api: Api) -> None:
    assert "?file=" in api.refused(400, "POST", "/v1/packages/bad", data=b"x")["fix"]
    assert "FILE:FUNCTION" in api.refused(400, "POST", "/v1/packages/bad", data=b"x", params={"file": "a.py", "main": "run"})["error"]
    assert "vendor, library or custom" in api.refused(400, "POST", "/v1/packages/bad", data=b"x", params={"file": "a.py", "origin": "mine"})["error"]


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    assert api.refused(413, "POST", "/v1/apply", data=b" " * (9 * 1024 * 1024))["error"] == "the body is larger than 8 MiB"
    many = json.dumps([{"connection": "plant", "object": "o", "value": 1}] * 10001)
    api.refused(400, "POST", "/v1/events", data=many)


def test_garbage_on_the_socket_harms_nobody(api: Api) -> None:
    host, port = api.service.ready["api"].split(":")
    for garbage in (b"\x00\xff\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/events HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            try:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
            except OSError:
                pass
    assert api.good("GET", "/v1/version")


def test_a_client_that_goes_away_before_its_answer_harms_nobody(api: Api) -> None:
    host, port = api.service.ready["api"].split(":")
    body = json.dumps([{"connection": "plant", "object": "gone", "value": 1}] * 2000).encode()
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = f"POST /v1/events HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
    assert api.good("GET", "/v1/version")


def _start(*options: str) -> subprocess.CompletedProcess[str]:
    words = ["--kafka", "127.0.0.1:1", "--admin-listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", *options]
    return subprocess.run([str(BIN / "engenho-producer"), *words], capture_output=True, text=True, timeout=60)


def test_a_producer_that_can_t_start_says_why_and_what_to_do(api: Api, tmp_path: pathlib.Path) -> None:
    token = str(tmp_path / "token")
    short = tmp_path / "short"
    short.write_text("abc")
    for options, code, sentence in (
        ((), 2, "token-file"),
        (("--token-file", token, "--api-listen", api.service.ready["api"]), 1, "the port is in use"),
        (("--token-file", token, "--admin-listen", api.service.ready["admin"]), 1, "in use"),
        (("--token-file", token, "--api-listen", "nonsense"), 1, "nonsense"),
        (("--token-file", str(short)), 1, "must hold one line of 16 to 1000 characters"),
        (("--token-file", "/nonexistent/token"), 1, "/nonexistent/token can't be made"),
        (("--token-file", token, "--partitions", "0"), 2, "partitions"),
        (("--token-file", token, "--log-level", "loud"), 2, "log-level takes"),
        (("--token-file", token, "--kafka-config", "no.such=1"), 1, "no.such"),
        (("--token-file", token, "--licensor", "nonsense"), 1, "nonsense"),
    ):
        ended = _start(*options)
        assert (ended.returncode, sentence in ended.stderr) == (code, True), ended.stderr


def test_help_is_there() -> None:
    for option in ("--help", "--version", "--help-markdown", "--metrics-markdown"):
        ended = _start(option) if option != "--metrics-markdown" else subprocess.run(
            [str(BIN / "engenho-producer"), option], capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0 and ended.stdout
