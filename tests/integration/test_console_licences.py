"""The console's Licences part in a real browser: who has which seat, the seconds that queued ones have left, freeing one."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.harness import Kafka
from tests.harness.process import BIN, wait_for
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


def test_the_minutes_are_summed_by_pool(system: System, browser: Browser) -> None:  # noqa: F811
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
    expect(row.locator("td")).to_have_text(["archive", "2 / 2", "9", "0", "0", "6: pool is full 6", "3, 2 s each", "9: w1/p 6, others 3"], timeout=15000)
    browser.check()


# --- the history: what the API answers is the test's, so that every hour and every refusal is known


def usage(pool: str, at: datetime.datetime, **members: Any) -> dict[str, Any]:
    """A record as /v1/usage answers it."""
    instant = at.astimezone(datetime.UTC)
    zeros = dict.fromkeys(("granted", "reused", "waived", "escalated", "notified", "refused", "waited", "waitSeconds", "overrun"), 0)
    return {"id": f"{int(at.timestamp()) // 60}:{pool}", "pool": pool, "from": instant.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "until": (instant + datetime.timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ"), "limit": 4, "peak": 0, "refusals": [],
            "holders": [], **zeros, **members}


def answer_usage(page: Page, records: list[dict[str, Any]], most: int = 10000) -> list[str]:
    """Answer /v1/usage with these records in pages of `most`; gives the addresses that were asked."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        after = int((re.search(r"after=(\d+)", route.request.url) or ["", "0"])[1])
        route.fulfill(json={"records": records[after:after + most], "next": str(min(after + most, len(records)))})

    page.route("**/v1/usage?*", answer)
    return asked


def midnight(days: int = 0) -> datetime.datetime:
    """Of so many days ago, by this machine's clock, which is the browser's too."""
    return datetime.datetime.combine(datetime.date.today() - datetime.timedelta(days=days), datetime.time()).astimezone()


def cell(page: Page, row: int, hour: int) -> Locator:
    return page.locator("#heat tbody tr").nth(row).locator("td").nth(hour)


def test_a_history_without_minutes_says_what_to_do(system: System, browser: Browser) -> None:  # noqa: F811
    answer_usage(browser.page, [])
    page = open_licences(browser, system)
    expect(page.locator("#licence-usage")).to_contain_text("see that engenho-producer was started with --licensor")
    expect(page.locator("#history-details")).to_be_hidden()
    expect(page.locator("#history-csv")).to_be_disabled()
    expect(page.locator("#history-pool")).to_be_disabled()
    browser.check()


def test_one_minute_makes_a_history(system: System, browser: Browser) -> None:  # noqa: F811
    answer_usage(browser.page, [usage("full", midnight(), peak=1, limit=2, granted=1, holders=[{"processor": "w1", "production": "p", "granted": 1}])])
    page = open_licences(browser, system)
    expect(cell(page, 0, 0)).to_have_text("1")
    expect(cell(page, 0, 0)).to_have_class("heat-2")
    expect(page.locator("#heat tbody tr")).to_have_count(1)
    expect(page.locator("#histogram tbody tr")).to_have_count(3)
    expect(page.locator("#refusals")).to_contain_text("Nothing was refused in this time, and nothing waited.")
    browser.check()


def test_the_heat_map_the_histogram_and_the_refusals_say_what_the_minutes_say(system: System, browser: Browser) -> None:  # noqa: F811
    """Yesterday: three seats at 08, all four and a refusal at 09; another pool beside it."""
    hour, minute = datetime.timedelta(hours=1), datetime.timedelta(minutes=1)
    refused = {"refused": 3, "refusals": [{"reason": "pool_limit", "count": 2}, {"reason": "edition_limit", "count": 1}],
               "holders": [{"processor": "w1", "production": "report", "granted": 2}, {"processor": "", "production": "", "granted": 1},
                           {"processor": "w2", "production": "night", "granted": 0}], "waited": 2, "waitSeconds": 5}
    records = [usage("full", midnight(1) + 8 * hour + n * minute, peak=3, granted=3) for n in range(10)]
    records += [usage("full", midnight(1) + 9 * hour, peak=4, **refused), usage("other", midnight(1) + 9 * hour, peak=700, limit=1000)]
    asked = answer_usage(browser.page, [*records, records[0]], most=5)
    page = open_licences(browser, system)
    expect(page.locator("#history-pool")).to_have_value("full")
    expect(cell(page, 1, 8)).to_have_text("3")
    expect(cell(page, 1, 8)).to_have_class("heat-3")
    expect(cell(page, 1, 9)).to_have_class("heat-5")
    expect(cell(page, 1, 9)).to_contain_text("3 refused")
    expect(cell(page, 1, 10)).to_have_text("0")
    assert page.locator("#heat tbody th[scope=row]").count() == 2 and page.locator("#heat thead th[scope=col]").count() == 25
    rows = page.locator("#histogram tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.nth(3).locator("td").nth(1)).to_have_text("10")
    expect(rows.nth(4).locator("td").nth(0)).to_have_text("4 (all)")
    expect(rows.nth(4).locator("td").nth(1)).to_have_text("1")
    expect(page.locator("#refusals tbody tr")).to_have_count(1)
    expect(page.locator("#refusals tbody td")).to_contain_text(["09:00", "full", "3", "2, 2.5 s each", "pool is full 2, limit of the edition 1", "4 / 4",
                                                               "w1/report 2, others 1, w2/night (since before)"])
    page.locator("#history-pool").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#heat-caption")).to_contain_text("pool other")
    expect(rows).to_have_count(11)
    expect(rows.nth(7).locator("td").nth(0)).to_have_text("601 – 700")
    expect(rows.nth(7).locator("td").nth(1)).to_have_text("1")
    before = len(asked)
    page.locator("#history-period").select_option("1")
    wait_for("another period is asked", lambda: page.wait_for_timeout(50) is None and len(asked) > before)
    assert page.locator("th:not([scope])").count() == 0
    browser.check()


def test_thousands_of_minutes_are_read_in_pages_and_summed(system: System, browser: Browser) -> None:  # noqa: F811
    start = midnight(7)
    records = [usage("full", start + datetime.timedelta(minutes=n), peak=n % 5, granted=1, refused=1,
                     refusals=[{"reason": "pool_limit", "count": 1}]) for n in range(6 * 1440)]
    asked = answer_usage(browser.page, records, most=2000)
    page = open_licences(browser, system)
    expect(page.locator("#licence-usage tbody td").nth(2)).to_have_text("8,640")
    expect(page.locator("#refusals tbody tr")).to_have_count(200)
    expect(page.locator("#refusals-range")).to_have_text("The newest 200 of 8,640 minutes; the CSV has them all.")
    expect(page.locator("#heat tbody td.heat-5")).to_have_count(6 * 24)
    assert len(asked) == 6, "five pages and the end"
    browser.check()


def test_what_can_t_be_read_is_said_and_what_was_read_stays(system: System, browser: Browser) -> None:  # noqa: F811
    page = browser.page
    answer_usage(page, [usage("full", midnight(), peak=1, limit=2)])
    open_licences(browser, system)
    expect(cell(page, 0, 0)).to_have_text("1")
    page.unroute_all()
    page.route("**/v1/usage?*", lambda route: route.fulfill(status=503, json={"error": "kafka is away", "where": "", "fix": ""}))
    page.locator("nav a[href='#overview']").click()
    page.locator("nav a[href='#licences']").click()
    expect(page.locator("#history-notice")).to_have_text("The minutes of use can't be read now: kafka is away")
    expect(cell(page, 0, 0)).to_have_text("1")


def test_the_csv_is_what_the_command_line_exports(system: System, browser: Browser) -> None:  # noqa: F811
    now = int(time.time()) // 60 - 60
    out = kafka_producer(system.kafka.servers)
    for minute, pool, wait in ((now, "b", 250_000), (now, 'a "quoted", one', 1), (now - 1, "b", 3_000_000), (now, "b", 250_000)):
        record = usage_pb2.UsageRecord(
            id=f"{minute}:{pool}", pool=pool, from_us=minute * 60_000_000, until_us=(minute + 1) * 60_000_000, granted=3, peak=2, limit=2,
            refused=2, refusals=[usage_pb2.UsageRefusal(reason="pool_limit", count=2)], waited=1, wait_us_sum=wait,
            holders=[usage_pb2.UsageHolder(processor="w1", production="p", granted=2), usage_pb2.UsageHolder(granted=1)])
        out.produce(system.prefix + "usage", key=pool, value=record.SerializeToString())
    assert out.flush(30) == 0
    page = open_licences(browser, system)

    def downloaded() -> bytes:
        with page.expect_download() as download:
            page.get_by_role("button", name="Download as CSV").click()
        assert re.fullmatch(r"engenho-usage-[\d-]{10}-[\d-]{10}\.csv", download.value.suggested_filename)
        return pathlib.Path(download.value.path()).read_bytes()

    def exported() -> bytes:
        return subprocess.run([BIN / "engenho", "usage", "export", "--from", "7d"], capture_output=True, timeout=60, check=True,
                              env={**os.environ, **system.client_environment}).stdout

    assert b'"a ""quoted"", one"' in exported()
    wait_for("no minute is closed between the two", lambda: downloaded() == exported(), 60)
    browser.check()


def test_what_operators_did_is_listed(system: System, browser: Browser, worker: Client) -> None:  # noqa: F811
    token = worker.acquire(HELD, "audited", pools=["full"]).granted.token
    assert system.call("POST", f"/v1/seats/{token}/release", headers={"X-Engenho-User": "ana"}).ok
    page = open_licences(browser, system)
    row = page.locator("#licence-audit tbody tr").first
    expect(row).to_contain_text("ana")
    expect(row).to_contain_text("free a seat")
    expect(row).to_contain_text("production audited")
    browser.check()


@pytest.mark.parametrize("browser", ["pt-BR"], indirect=True)
def test_the_history_is_in_portuguese_for_who_speaks_it(system: System, browser: Browser) -> None:  # noqa: F811
    refusals = [{"reason": "pool_limit", "count": 1}]
    answer_usage(browser.page, [usage("full", midnight(), peak=4, refused=1, refusals=refusals)])
    page = open_licences(browser, system)
    expect(page.locator("#history-title")).to_have_text("Histórico de licenças")
    expect(page.locator("#refusals")).to_contain_text("pool cheio")
    expect(page.locator("#history-period")).to_contain_text("últimos 7 dias")
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
