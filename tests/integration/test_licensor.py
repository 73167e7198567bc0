"""The licensor against real Redis: keys, seats, waiting lines, refusals, licences."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import socket
import struct
from typing import Any

import pytest

from tests.harness.process import wait_for
from tests.harness.redis import Redis
from tests.integration.licensors import HELD, KEYS, NOTIFIED, REQUEST, Client, Clock, L, connect, licensor


def signed(**licence: Any) -> str:
    """A licence file signed with the test key, as tests/keys/sign.py makes it."""
    spec = importlib.util.spec_from_file_location("sign", KEYS / "sign.py")
    assert spec and spec.loader
    sign = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sign)
    return json.dumps(sign.sign(sign.licence(licence.pop("edition"), licence.pop("keys"), **licence)))


@pytest.fixture
def serve(tmp_path: pathlib.Path, redis: Redis, request: pytest.FixtureRequest) -> Any:
    """Start a licensor with these licences of tests/keys; give a client of it. Stopped cleanly at the end."""
    started = []

    def start(*licences: str, words: tuple[str, ...] = (), name: str = "licensor", extra: str = "") -> Client:
        service = licensor(tmp_path, redis.url, *words, name=name, licences=licences)
        if extra:
            (tmp_path / "licences/extra.json").write_text(extra)
        started.append(service.start())
        client = connect(service)
        client.service = service
        return client

    yield start
    for service in started:
        if service.alive():
            assert service.stop() == 0, service.tail()


def test_an_enterprise_key_gives_four_interpreters_and_the_lowest_slot(serve: Any) -> None:
    client = serve("enterprise-4.json")
    first = client.register("w1").registered
    assert (first.edition, first.interpreters, first.productions, first.slot) == ("enterprise", 4, 1000, 0)
    assert (first.lease_us, first.heartbeat_us) == (30_000_000, 5_000_000)
    other = serve("enterprise-4.json", name="second")
    assert other.register("w2").registered.slot == 1
    third = serve("enterprise-4.json", name="third")
    assert third.register("w3", agent="other").registered.slot == 0, "slots are counted by agent"
    assert third.ask(show_licence=L.ShowLicence()).licence.keys == 4


def test_demo_accepts_the_first_processor_and_refuses_the_next(serve: Any) -> None:
    client = serve()
    first = client.register("w1").registered
    assert (first.edition, first.interpreters, first.productions) == ("demo", 4, 10)
    refused = Client(client.socket.getpeername()[1]).register("w2").refused
    assert refused.reason == L.REFUSAL_REASON_NO_KEY
    assert "demo" in refused.text and "demo" in refused.text_pt


def test_a_key_that_comes_free_goes_to_the_next(serve: Any) -> None:
    client = serve("lite-1.json")
    client.register("w1")
    other = Client(client.socket.getpeername()[1])
    refused = other.register("w2").refused
    assert refused.text == "no product key left: 1 of 1 in use; contact: licences@example.org"
    assert refused.text_pt.startswith("Excedeu o número de licenças")
    client.ask(goodbye=L.Goodbye(session=client.session))
    assert other.register("w2").registered.slot == 0


def test_a_name_in_use_is_refused_until_its_connection_is_gone(serve: Any) -> None:
    client = serve("enterprise-4.json")
    client.register("w1")
    port = client.socket.getpeername()[1]
    other = Client(port)
    refused = other.register("w1").refused
    assert refused.reason == L.REFUSAL_REASON_NAME_IN_USE
    assert refused.text == "name in use by here, process 42"
    seat = client.acquire().granted
    client.close()
    registered = wait_for("the name is free", lambda: (m := other.register("w1")).HasField("registered") and m).registered
    assert registered.slot == 0, "the slot stays with the name"
    assert other.pool("requests").in_use == 0, "seats of the session before are freed at once"
    assert other.ask(release=L.Release(session=other.session, request=seat.request, token=seat.token)).refused.reason \
        == L.REFUSAL_REASON_STALE


def test_the_pool_limit_is_told_in_two_languages(serve: Any) -> None:
    client = serve(extra=signed(edition="enterprise", keys=1, pools={"productions": 100}))
    client.register()
    for number in range(100):
        assert client.acquire(HELD, f"P{number}").HasField("granted")
    refused = client.acquire(HELD, "P100").refused
    assert refused.reason == L.REFUSAL_REASON_POOL_LIMIT
    assert refused.text == ("licence limit reached: pool productions, 100 of 100 in use"
                            "; contact: licences@example.org")
    assert refused.text_pt.startswith("Excedeu o número de licenças")


def test_the_edition_caps_a_processor_and_overlapping_executions_are_waived(serve: Any) -> None:
    client = serve()
    client.register()
    seats = [client.acquire(HELD, f"P{number}").granted for number in range(10)]
    refused = client.acquire(HELD, "P10").refused
    assert refused.reason in (L.REFUSAL_REASON_EDITION_LIMIT, L.REFUSAL_REASON_POOL_LIMIT)
    assert "10 of 10" in refused.text
    waived = client.acquire(HELD, "P3").granted
    assert waived.waived and waived.token == seats[3].token and waived.number == seats[3].number
    assert client.pool("productions").in_use == 10
    client.release(seats[3])
    assert client.pool("productions").in_use == 10, "the waived execution still runs"
    client.release(waived)
    assert client.pool("productions").in_use == 9


def test_requests_take_a_seat_each_and_notified_ones_none(serve: Any) -> None:
    client = serve("enterprise-4.json")
    client.register()
    assert [client.acquire(REQUEST).granted.number for _ in range(3)] == [1, 2, 3]
    assert client.acquire(NOTIFIED).granted.token == 0
    pool = client.pool("requests")
    assert (pool.in_use, pool.limit, pool.granted) == (3, 16, 3)
    assert client.pool("productions").notified == 1


def test_a_chain_escalates_to_the_next_pool(serve: Any) -> None:
    client = serve("full-8.json")
    client.register()
    first = [client.acquire(pools=["full"]).granted for _ in range(2)]
    refused = client.acquire(pools=["full"]).refused
    assert refused.text.startswith("licence limit reached: pool full, 2 of 2 in use")
    seat = client.acquire(pools=["full", "requests"]).granted
    assert (seat.requested_pool, seat.pool, seat.escalated) == ("full", "requests", True)
    client.release(first[0])
    again = client.acquire(pools=["full", "requests"]).granted
    assert (again.pool, again.reused, again.number) == ("full", True, first[0].number)
    assert client.acquire(pools=["full", "full"]).refused.reason == L.REFUSAL_REASON_BAD_REQUEST, "a chain that loops"
    assert client.acquire(pools=["nowhere"]).refused.reason == L.REFUSAL_REASON_UNKNOWN_POOL


def test_a_repeated_request_gets_the_same_answer(serve: Any) -> None:
    client = serve("enterprise-4.json")
    client.register()
    seat = client.acquire(request="mine:1").granted
    assert client.acquire(request="mine:1").granted.token == seat.token
    assert client.pool("requests").in_use == 1
    first = client.release(seat).released
    second = client.release(seat).released
    assert (first.queued, first.request) == (second.queued, second.request) == (True, "mine:1")
    assert client.acquire(request="mine:1").granted.token == seat.token, "remembered after its release, too"
    pool = client.pool("requests")
    assert (pool.in_use, pool.queued) == (0, 1)


def test_a_late_release_is_stale(serve: Any) -> None:
    client = serve("enterprise-4.json")
    client.register()
    seat = client.acquire(request="mine:1").granted
    client.release(seat)
    other = client.acquire(request="mine:2").granted
    assert other.number == seat.number and other.token > seat.token
    refused = client.ask(release=L.Release(session=client.session, request="mine:2", token=seat.token)).refused
    assert refused.reason == L.REFUSAL_REASON_STALE
    assert client.pool("requests").in_use == 1


def test_the_waiting_line_is_served_in_order_across_two_licensors(serve: Any) -> None:
    one = serve("full-8.json")
    two = serve("full-8.json", name="second")
    one.register("w1")
    two.register("w2")
    held = [one.acquire(pools=["full"]).granted for _ in range(2)]
    order = []
    for client in (two, one, two):
        request = client.next_request()
        assert client.acquire(request=request, pools=["full"], wait=True).waiting.ahead == len(order)
        order.append((client, request))
    assert one.acquire(pools=["full"]).HasField("refused"), "nobody overtakes the line"
    assert list(two.heartbeat().heartbeat.waited_pools) == ["full"]
    seats = list(held)
    for client, request in order:
        one_or_two = one if seats[0].request.startswith(one.session) else two
        one_or_two.release(seats.pop(0))
        granted = client.granted()
        assert granted.request == request
        seats.append(granted)
    assert client.pool("full").waiting == 0


def test_who_waits_for_what_its_holder_gets_is_waived_with_it(serve: Any) -> None:
    one = serve(extra=signed(edition="full", keys=2, pools={"productions": 1}))
    two = Client(one.socket.getpeername()[1])
    one.register("w1")
    two.register("w2")
    seat = one.acquire(HELD, "P1").granted
    for _ in range(2):
        assert two.acquire(HELD, "P1", wait=True).HasField("waiting")
    one.release(seat)
    first, second = two.granted(), two.granted()
    assert (first.waived, second.waived, second.token) == (False, True, first.token)
    pool = two.pool("productions")
    assert (pool.in_use, pool.waiting) == (1, 0)


def test_a_release_takes_a_waiting_request_out_of_the_line(serve: Any) -> None:
    client = serve("lite-1.json")
    client.register()
    seat = client.acquire().granted
    waiting = client.acquire(request="wait:1", wait=True).waiting
    assert waiting.ahead == 0
    client.ask(release=L.Release(session=client.session, request="wait:1"))
    client.release(seat)
    pool = client.pool("requests")
    assert (pool.in_use, pool.queued, pool.waiting) == (0, 1, 0)


def test_what_people_see_of_a_seat(serve: Any) -> None:
    client = serve("enterprise-4.json")
    client.register()
    seat = client.acquire(request="mine:1", user="ana").granted
    rows = client.ask(list_seats=L.ListSeats()).seats
    (row,) = rows.seats
    assert (row.state, row.processor, row.user, row.number, row.token) == ("busy", "w1", "ana", 1, seat.token)
    assert [p.name for p in rows.processors] == ["w1"]
    assert "got seat L1 of pool requests" in client.ask(explain=L.Explain(request="mine:1")).explanation.text
    client.acquire(request="mine:2", pools=["nowhere"])
    assert "was refused" in client.ask(explain=L.Explain(request="mine:2")).explanation.text
    assert client.ask(explain=L.Explain(request="never:1")).refused.reason == L.REFUSAL_REASON_BAD_REQUEST
    client.ask(release_by_operator=L.ReleaseByOperator(token=seat.token, who="operator"))
    assert client.pool("requests").in_use == 0
    assert client.release(seat).refused.reason == L.REFUSAL_REASON_STALE
    assert "released by an operator" in client.service.tail()


def test_what_operators_do_and_are_refused_is_audited_and_outlives_licensor_and_redis(serve: Any, redis: Redis) -> None:
    client = serve("enterprise-4.json")
    client.register()
    before_us = int(redis.client.time()[0]) * 1_000_000
    seat = client.acquire(HELD, "P1").granted
    client.ask(release_by_operator=L.ReleaseByOperator(token=seat.token, who="ana"))
    client.ask(release_by_operator=L.ReleaseByOperator(token=seat.token, who="bob"))
    client.ask(release_by_operator=L.ReleaseByOperator(token=seat.token, who="a\nb"))
    client.ask(install_licence=L.InstallLicence(file=b"{}", who="eve"))
    client.ask(install_licence=L.InstallLicence(file=signed(edition="enterprise", keys=3).encode(), who="ana"))
    for demo in (True, True, False, False):
        client.ask(set_master=L.SetMaster(demo=demo, who="producer"))
    wanted = [
        ("producer", "master", "the Master is licensed"),
        ("producer", "master", "the Master is in demo"),
        ("ana", "install licence", "installed; now edition enterprise, 7 keys"),
        ("eve", "install licence", "refused: "),
        ("", "release", "refused: a release by an operator names who releases"),
        ("bob", "release", f"refused: no seat has token {seat.token}"),
        ("ana", "release", f"seat L1 of pool productions taken from w1, production P1, request {seat.request}, token {seat.token}"),
    ]

    def check(client: Client) -> None:
        entries = client.ask(list_audit=L.ListAudit()).audit.entries
        assert [(entry.who, entry.what) for entry in entries] == [(who, what) for who, what, _ in wanted]
        for entry, (_, _, detail) in zip(entries, wanted, strict=True):
            assert entry.detail.startswith(detail)
            assert entry.at_us >= before_us
        assert list(client.ask(list_audit=L.ListAudit(max=2)).audit.entries) == list(entries[:2])

    check(client)
    client.service.kill()
    redis.kill()
    redis.start()
    check(serve("enterprise-4.json", name="second"))


@pytest.mark.parametrize(("name", "reason"), [
    ("expired.json", "the licence expired at 2021-12-31"),
    ("altered.json", "the licence was altered"),
])
def test_a_bad_licence_is_refused_with_its_reason(serve: Any, name: str, reason: str) -> None:
    client = serve(name)
    assert reason in client.service.tail()
    state = client.ask(show_licence=L.ShowLicence()).licence
    assert (state.edition, state.keys) == ("demo", 0)
    assert reason in state.warning


def test_licences_of_two_customers_or_editions_do_not_add_up(serve: Any) -> None:
    client = serve("enterprise-4.json", "foreign.json", "lite-1.json")
    assert "the licence is for Somebody else" in client.service.tail()
    assert "upgrade needed" in client.service.tail()
    assert client.ask(show_licence=L.ShowLicence()).licence.keys == 4
    file = signed(edition="enterprise", keys=3)
    assert client.ask(install_licence=L.InstallLicence(file=file.encode())).licence.keys == 7
    refused = client.ask(install_licence=L.InstallLicence(file=signed(edition="full", keys=1).encode())).refused
    assert refused.reason == L.REFUSAL_REASON_EDITION_MIX
    refused = client.ask(install_licence=L.InstallLicence(file=b"{}")).refused
    assert refused.reason == L.REFUSAL_REASON_LICENCE and "not a licence file" in refused.text


def test_a_client_that_sends_nonsense_loses_its_connection_only(serve: Any) -> None:
    client = serve("enterprise-4.json")
    client.register()
    port = client.socket.getpeername()[1]
    for data in (b"\xff\xff\xff\xff", struct.pack(">I", 5) + b"\xff\xff\xff\xff\xff", struct.pack(">I", 0)):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as bad:
            bad.sendall(data)
            assert bad.recv(10) == b"", "closed"
    other = Client(port)
    other.session = client.session
    assert other.heartbeat().refused.reason == L.REFUSAL_REASON_UNKNOWN_SESSION, "another's session"
    for body in ({"acquire": L.Acquire(session=client.session, request="with space", kind=REQUEST)},
                 {"acquire": L.Acquire(session=client.session, request="a:1", kind=HELD)},
                 {"acquire": L.Acquire(session=client.session, request="a:1", kind=REQUEST, pools=["p"] * 9)},
                 {"release": L.Release(session=client.session, request="a:1", token=2**64 - 1)},
                 {"release": L.Release(session=client.session, request="a:1", token=2**46 + 1)},
                 {"heartbeat": L.Heartbeat(session=client.session, highest_op=2**46 + 1)},
                 {"register": L.Register(name="x", agent="default", highest_op=2**63)},
                 {"register": L.Register(name="x", agent="default", held=[L.HeldSeat(token=2**60, pool="p", request="a:1", kind=REQUEST)])},
                 {"register": L.Register(name="x", agent="default", held=[L.HeldSeat(number=2**60, pool="p", request="a:1", kind=REQUEST)])},
                 {"register": L.Register(name="x\n", agent="default")}, {}):
        assert client.ask(**body).refused.reason == L.REFUSAL_REASON_BAD_REQUEST
    assert client.acquire().HasField("granted")


def test_a_client_that_does_not_read_its_answers_is_closed(serve: Any) -> None:
    client = serve(extra=signed(edition="full", keys=1, pools={"requests": 300}), words=("--max-send", "64KiB"))
    client.register()
    for _ in range(300):
        client.acquire()
    deaf = Client(client.socket.getpeername()[1])
    for _ in range(400):  # what it is owed is more than the system keeps for it
        deaf.send(list_seats=L.ListSeats())
    wait_for("it is closed", lambda: "the client does not read its answers" in client.service.tail())
    assert client.pool("requests").in_use == 300, "the others are served"


def test_a_client_that_sends_nothing_or_half_a_frame_is_closed(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, "--client-timeout", "10s", licences=("enterprise-4.json",), clock=clock).start()
    silent, half, idle = connect(service), connect(service), connect(service)
    idle.register()
    half.socket.sendall(struct.pack(">I", 100) + b"x")
    wait_for("all are there", lambda: service.metric("engenho_licensor_connections") == 3)
    for _ in range(9):
        clock.move(1)
        half.socket.sendall(b"x")
        assert idle.heartbeat().HasField("heartbeat")
    assert service.metric("engenho_licensor_connections") == 3
    clock.move(2)
    service.probe("/livez")  # its loop wakes, and sees that time went by
    assert silent.socket.recv(1) == b"" and half.socket.recv(1) == b""
    assert "the client sent nothing within --client-timeout" in service.tail()
    assert "the rest of a frame did not come within --client-timeout" in service.tail()
    clock.move(20)
    assert idle.heartbeat().HasField("heartbeat"), "who has sent a request may be silent between two"
    service.kill()
    redis.stop()


def test_the_metrics_tell_what_happened(serve: Any) -> None:
    client = serve("enterprise-4.json")
    client.register()
    seat = client.acquire().granted
    client.release(seat)
    client.acquire()
    service = client.service
    assert service.metric("engenho_license_requests_total", license="requests", outcome="granted") == 1
    assert service.metric("engenho_license_requests_total", license="requests", outcome="reused") == 1
    assert service.metric("engenho_license_mode", mode="enterprise") == 1
    assert service.metric("engenho_redis_up") == 1
    wait_for("the gauges follow", lambda: service.metric("engenho_license_in_use", license="requests") == 1)


def test_leases_and_time_are_options(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, "--reuse-life", "7s", "--lease", "12s", licences=("enterprise-4.json",),
                       clock=clock).start()
    client = connect(service)
    registered = client.register().registered
    assert (registered.lease_us, registered.heartbeat_us) == (12_000_000, 3_000_000), "heartbeats: a quarter of it at most"
    seat = client.acquire().granted
    clock.move(6.999)
    released = client.release(seat).released
    assert (released.queued, released.life_left_us) == (True, 1000)
    service.kill()
    redis.stop()
