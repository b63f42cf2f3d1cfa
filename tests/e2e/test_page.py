"""`netstack up --inspect` as a user runs it: where the page is, that it shows what happens, and that it lets go."""

import json
import subprocess
import time

import pytest

from tests.e2e.browser import CHROMIUM, browser
from tests.e2e.running import APPS, PATIENCE, URL, running

pytestmark = pytest.mark.tap

PAGE = "http://192.0.2.2:8081"


def ticks(up, url):
    """The ticks of an event stream, as they come."""
    curl = ("curl", "-sN", "--max-time", str(PATIENCE), f"{url}/inspect/events")
    stream = up.ns.popen(*curl, stdout=subprocess.PIPE)
    for line in stream.stdout:
        if line.startswith("data: ") and '"rows"' in line:
            yield json.loads(line.removeprefix("data: "))


def test_the_page_shows_a_request_and_ctrl_c_does_not_wait_for_it():
    with running("--inspect", "--no-access-log") as up:
        up.wait_for(f"live page on {URL}/")
        assert "<svg" in up.curl("-H", "Accept: text/html", f"{URL}/")
        assert json.loads(up.curl(f"{URL}/"))["you"]
        shown = ticks(up, URL)
        next(shown)
        up.curl(f"{URL}/plaintext")
        made = (move for tick in shown for move in tick.get("moves", ()))
        assert next(made)[2:4] == ["LISTEN", "SYN-RECEIVED"]
        assert next(made)[2:4] == ["SYN-RECEIVED", "ESTABLISHED"]
        began = time.monotonic()
        assert up.stop() == 0
        assert time.monotonic() - began < 5


def test_beside_an_application_of_ones_own_it_has_a_port_of_its_own():
    with running("api:app", "--app-dir", str(APPS), "--inspect", "--no-access-log") as up:
        up.wait_for(f"live page on {PAGE}/")
        assert "<svg" in up.curl(f"{PAGE}/")
        assert json.loads(up.curl(f"{URL}/items/7?q=x"))["item"] == 7
        next(ticks(up, PAGE))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_draws_it_and_its_buttons_work(tmp_path):
    with running("--inspect", "--no-access-log") as up, browser(up.ns, tmp_path) as page:
        page.open(f"{URL}/")
        page.until("document.querySelector('#link')?.dataset.state === 'live'")
        down = ("curl", "-s", "--limit-rate", "300k", "-o", "/dev/null", f"{URL}/bytes/3000000")
        client = up.ns.popen(*down)
        page.until("document.querySelector('tr.connection.chosen')?.innerText.includes('ESTABLISHED')")
        page.until("document.querySelector('.token.chosen') && document.querySelector('#plot-seq canvas')")
        page.until("document.querySelectorAll('#ladder .rung.ours').length > 3")
        page.until("document.querySelectorAll('.edge.walked').length === 2")
        page.evaluate("{const e = document.querySelector('[name=delay]'); e.value = 50; "
                      "e.dispatchEvent(new Event('input', {bubbles: true}))}")  # fmt: skip
        page.until("document.querySelector('#layers').textContent.includes('TcpInSegs')")
        page.evaluate("document.querySelector('#kill').click()")
        assert client.wait(PATIENCE) == 56  # curl: failure in receiving
        page.until("document.querySelector('#moves').innerText.includes('ABORT, snd RST')")
        root = "document.documentElement"
        size = page.evaluate(f"[{root}.scrollWidth, {root}.scrollHeight, innerWidth, innerHeight]")
        assert size[:2] == size[2:]  # nothing lies beyond the window
        assert page.complaints == []  # neither an error nor a refusal by the page's own policy
