"""The console's Licences part in a real browser: who has which seat, the seconds that queued ones have left, freeing one."""

from __future__ import annotations

import datetime
import json
import pathlib
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.harness import Kafka
from tests.harness.process import wait_for
from tests.harness.proto import usage_pb2
from tests.harness.system import System
from tests.harness.topics import producer as kafka_producer
from tests.integration.licensors import HELD, REQUEST, Client
from tests.integration.test_console import Browser, browser  # noqa: F401: a fixture
from tests.keys.sign import licence, sign

expect.set_options(timeout=30000)  # a loaded machine is slow


@pytest.fixture(scope="module")
def system(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("console-licences")
    with System(directory, kafka=kafka, prefix="console-licences.", licence="full-8.json", workers=0).start() as running:
        yield running


@pytest.fixture
def worker(system: System) -> Iterator[Client]:
    client = Client(system.licensor_port)
    assert client.register("w1").HasField("registered")
    yield client
    client.ask(goodbye={"session": client.session})
    client.close()


def open_licences(browser: Browser, system: System) -> Page:
    page = browser.page
    page.goto(f"{system.url}/#token={system.TOKEN}")
    expect(page.locator("#connection .good")).to_be_visible(timeout=30000)
    page.locator("nav a[href='#licences']").click()
    expect(page.locator("#licence-pools tbody tr")).to_have_count(3, timeout=30000)
    return page


def seats(page: Page, text: str) -> object:
    return page.locator("#licence-seats tbody tr").filter(has_text=text)


def test_the_licence_its_pools_and_who_holds_seats_are_shown(system: System, browser: Browser, worker: Client,  # noqa: F811
                                                             tmp_path: pathlib.Path) -> None:
    worker.acquire(HELD, "running", pools=["full"], user="ana")
    worker.acquire(HELD, "also-running", pools=["full"])
    worker.acquire(HELD, "chained", pools=["full", "productions"])
    worker.acquire(HELD, "patient", pools=["full"], wait=True)
    page = open_licences(browser, system)
    expect(page.locator("#licence")).to_contain_text("full")
    expect(page.locator("#licence")).to_contain_text("1 / 8")
    expect(page.locator("#licence-pools tbody tr").filter(has_text="full").locator("td").nth(4)).to_have_text("1")
    row = page.locator("#licence-seats tbody tr").filter(has=page.get_by_text("running", exact=True))
    expect(row).to_contain_text("ana")
    expect(row).to_contain_text("in use")
    expect(seats(page, "chained")).to_contain_text("escalated")
    expect(seats(page, "patient")).to_contain_text("waiting")
    expect(seats(page, "patient").get_by_role("button")).to_have_count(0)
    expect(page.locator("#licence-processors tbody tr")).to_contain_text("w1")
    expect(page.locator("#overview")).to_be_hidden()
    assert page.locator("th:not([scope])").count() == 0
    page.screenshot(path=tmp_path / "licences.png", full_page=True)
    page.locator("nav a[href='#overview']").click()
    expect(page.locator("#overview")).to_be_visible()
    expect(page.locator("#licences")).to_be_hidden()
    browser.check()


def left(page: Page) -> int:
    text = page.locator("#licence-seats .left").first.text_content() or ""
    return int(re.fullmatch(r"(\d+) s", text)[1])  # type: ignore[index]


def test_the_seconds_of_a_queued_seat_count_down_by_themselves(system: System, browser: Browser, worker: Client) -> None:  # noqa: F811
    page = open_licences(browser, system)
    worker.release(worker.acquire(REQUEST).granted)
    expect(seats(page, "queued").locator(".left")).to_have_count(1, timeout=15000)
    page.route("**/v1/seats?*", lambda route: None)  # no more answers: what changes now changes in the page
    first = left(page)
    assert 1 <= first <= 30
    page.wait_for_function("first => parseInt(document.querySelector('#licence-seats .left').textContent) < first", arg=first, timeout=15000)
    second = left(page)
    page.wait_for_function("second => parseInt(document.querySelector('#licence-seats .left').textContent) < second", arg=second, timeout=15000)
    page.unroute("**/v1/seats?*")
    browser.check()


def test_a_seat_is_freed_after_the_question_and_the_log_says_who(system: System, browser: Browser, worker: Client) -> None:  # noqa: F811
    token = worker.acquire(HELD, "stuck", pools=["full"]).granted.token
    page = open_licences(browser, system)
    button = seats(page, "stuck").get_by_role("button")
    button.click()
    expect(page.locator("#release-text")).to_contain_text("held by w1 for production stuck")
    page.get_by_role("button", name="Leave it").click()
    expect(page.locator("#release")).to_be_hidden()
    assert seats(page, "stuck").count() == 1
    button.click()
    page.get_by_role("button", name="Free it").click()
    expect(page.locator("#licence-notice")).to_contain_text("is freed")
    expect(seats(page, "stuck")).to_have_count(0)
    lines = [json.loads(line) for line in system.producer.log.read_text().splitlines() if "by an operator" in line]
    assert any(line["who"] == "console" and line["token"] == str(token) for line in lines)
    browser.check()


@pytest.mark.parametrize("browser", ["pt-BR"], indirect=True)
def test_licences_are_in_portuguese_for_who_speaks_it(system: System, browser: Browser, worker: Client) -> None:  # noqa: F811
    worker.acquire(HELD, "uma", pools=["full"])
    page = open_licences(browser, system)
    expect(page.locator("#licence-seats caption")).to_have_text("Licenças e quem as tem")
    expect(seats(page, "uma")).to_contain_text("em uso")
    expect(seats(page, "uma").get_by_role("button")).to_have_text("Liberar")
    browser.check()


def test_many_seats_are_paged_by_the_server(system: System, browser: Browser, worker: Client) -> None:  # noqa: F811
    number = 0
    for i in range(250):
        number = worker.send(acquire={"session": worker.session, "request": worker.next_request(), "kind": HELD, "production": f"p{i:03}"})
    worker.answer(number)
    wait_for("all are there", lambda: system.get("/v1/seats", limit=0)["seatsTotal"] >= 250)
    page = open_licences(browser, system)
    expect(page.locator("#licence-seats tbody tr")).to_have_count(100)
    page.locator("#seats-after").click()
    expect(page.locator("#seats-range")).to_contain_text("101 to 200")
    page.locator("#seats-after").click()
    expect(page.locator("#seats-range")).to_contain_text("201 to")
    expect(page.locator("#seats-after")).to_be_disabled()
    browser.check()


def test_the_last_day_is_summed_by_pool(system: System, browser: Browser) -> None:  # noqa: F811
    now = int(time.time()) // 60 - 5
    out = kafka_producer(system.kafka.servers)
    records = [usage_pb2.UsageRecord(
        id=f"{now + i}:archive", pool="archive", from_us=(now + i) * 60_000_000, until_us=(now + i + 1) * 60_000_000, granted=3, peak=i, limit=2,
        refused=2, refusals=[usage_pb2.UsageRefusal(reason="pool_limit", count=2)], waited=1, wait_us_sum=2_000_000,
        holders=[usage_pb2.UsageHolder(processor="w1", production="p", granted=2), usage_pb2.UsageHolder(granted=1)]) for i in (0, 1, 2)]
    for record in [*records, records[0]]:
        out.produce(system.prefix + "usage", key=record.pool, value=record.SerializeToString())
    assert out.flush(30) == 0
    page = open_licences(browser, system)
    row = page.locator("#licence-usage tbody tr").filter(has_text="archive")
    expect(row.locator("td")).to_have_text(["archive", "2 / 2", "9", "0", "0", "6: pool_limit 6", "3, 2 s each", "9: w1/p 6, others 3"], timeout=15000)
    browser.check()


def test_a_licence_in_grace_is_said_in_words(system: System, browser: Browser) -> None:  # noqa: F811
    """The last test: from here on the licence of this system is over."""
    yesterday = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)).date().isoformat()
    answer = system.call("POST", "/v1/licence", data=json.dumps(sign(licence("full", 1, valid_until=yesterday))))
    assert answer.ok and answer.json()["inGrace"], answer.text
    page = open_licences(browser, system)
    expect(page.locator("#licence-notice")).to_contain_text("It works in grace until")
    expect(page.locator("#licence")).to_contain_text("/ 9")
    system.licensor.kill()
    expect(page.locator("#licence-notice")).to_contain_text("The licensor does not answer", timeout=15000)
    system.licensor.start()
    expect(page.locator("#licence-notice")).to_contain_text("It works in grace until", timeout=30000)
