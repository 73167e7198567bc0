"""The console's page in a real browser: logs in, shows results as they come, breaks no policy and says no error."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.harness.kafka import Kafka
from tests.integration.api import TOKEN, Api, new_result

_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]


@pytest.fixture(scope="module")
def api(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(kafka, tmp_path_factory.mktemp("console")) as running:
        running.set_up()
        yield running


class Browser:
    """A page, and everything that it complained of."""

    def __init__(self, page: Page):
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.add_init_script(
            "window.violations = []; document.addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective));"
        )

    def check(self) -> None:
        assert self.complaints == []
        assert self.page.evaluate("window.violations") == []


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    locale = getattr(request, "param", "en-US")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGS)
        yield Browser(chromium.new_context(locale=locale, viewport={"width": 1280, "height": 900}).new_page())
        chromium.close()


def log_in(browser: Browser, api: Api) -> None:
    browser.page.goto(api.url + "/")
    browser.page.get_by_label("Token").fill(TOKEN)
    browser.page.locator("#login button").click()
    expect(browser.page.locator("#connection .good")).to_be_visible(timeout=15000)


def test_a_result_appears_live_after_the_log_in(api: Api, browser: Browser, tmp_path: pathlib.Path) -> None:
    log_in(browser, api)
    page = browser.page
    rows = page.locator("#executions tbody tr")
    api.send_results(new_result(1, "live-one"), new_result(2, "live-two", outcome=2, error_class="ValueError", error="too hot", dead_letter=True))
    expect(rows.filter(has_text="live-one")).to_have_count(1, timeout=15000)
    expect(page.locator("#failures tbody tr").filter(has_text="ValueError: too hot (dead letter)")).to_have_count(1)
    expect(page.locator("#cards")).to_contain_text("Executions in the last minute")
    assert page.locator("#overview table caption").count() == 4
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("h1").count() == 1
    page.screenshot(path=tmp_path / "console.png", full_page=True)
    browser.check()


def test_what_happened_before_is_there_after_the_log_in(api: Api, browser: Browser) -> None:
    api.send_results(new_result(10, "before"))
    log_in(browser, api)
    expect(browser.page.locator("#executions tbody tr").filter(has_text="before")).to_have_count(1, timeout=15000)
    browser.check()


def test_a_wrong_token_is_refused_in_words_and_nothing_is_shown(api: Api, browser: Browser) -> None:
    browser.page.goto(api.url + "/")
    browser.page.get_by_label("Token").fill("not the token")
    browser.page.locator("#login button").click()
    expect(browser.page.locator("#login-error")).to_have_text("This token is not the one.")
    expect(browser.page.locator("#console")).to_be_hidden()


def test_the_token_in_the_fragment_logs_in_and_leaves_the_address(api: Api, browser: Browser) -> None:
    browser.page.goto(f"{api.url}/#token={TOKEN}")
    expect(browser.page.locator("#connection .good")).to_be_visible(timeout=15000)
    assert TOKEN not in browser.page.url
    browser.page.reload()
    expect(browser.page.locator("#connection .good")).to_be_visible(timeout=15000)
    browser.page.get_by_role("button", name="Log out").click()
    expect(browser.page.locator("#console")).to_be_hidden()
    browser.check()


@pytest.mark.parametrize("browser", ["pt-BR"], indirect=True)
def test_it_speaks_portuguese_to_who_does(api: Api, browser: Browser) -> None:
    log_in(browser, api)
    expect(browser.page.locator("#executions caption")).to_have_text("Execuções")
    assert browser.page.evaluate("document.documentElement.lang") == "pt-BR"
    browser.check()


def test_the_page_comes_back_to_life_when_the_producer_does(kafka: Kafka, browser: Browser, tmp_path: pathlib.Path) -> None:
    from tests.harness.process import free_port

    port = free_port()
    api = Api(kafka, tmp_path)
    at = api.service.argv.index("--api-listen") + 1
    api.service.argv[at] = f"127.0.0.1:{port}"
    with api:
        log_in(browser, api)
        api.service.kill()
        expect(browser.page.locator("#connection .bad")).to_be_visible(timeout=15000)
        api.start()
        api.send_results(new_result(20, "after the kill"))
        expect(browser.page.locator("#connection .good")).to_be_visible(timeout=30000)
        expect(browser.page.locator("#executions tbody tr").filter(has_text="after the kill")).to_have_count(1, timeout=15000)
