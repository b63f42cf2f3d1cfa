"""The page in a real browser, headless: steps are chosen, octets and fields light up together, nothing fails."""

import re
import shutil
import subprocess

import pytest

from netstack.journey.html import page
from tests.journey.trips import journey

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCRIPT = """<script>
const said = [];
addEventListener("error", event => document.body.setAttribute("data-error", event.message));
const at = steps.findIndex(step => step.hex && step.text.startsWith("S 0:0(0)"));
rows[at].dispatchEvent(new MouseEvent("mouseenter"));
said.push(panel.querySelector("h2").textContent.split(": ")[1].slice(0, 8));
const octet = [...panel.querySelectorAll(".hex span[data-f]")].filter(node => node.textContent.trim())[33];
octet.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
said.push([...panel.querySelectorAll("tr.on td")].slice(0, 2).map(node => node.textContent).join("="));
rows[2].dispatchEvent(new MouseEvent("click"));
rows[9].dispatchEvent(new MouseEvent("mouseenter"));
said.push(`pinned ${chosen}`);
for (const step of steps) dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown"}));
said.push(`end ${chosen === steps.length - 1}`);
document.body.setAttribute("data-said", said.join("; "));
</script></html>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_the_page_works(tmp_path):
    file = tmp_path / "journey.html"
    file.write_text(page(journey(), "GET /plaintext", "a journey").replace("</html>", SCRIPT))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    dump = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=60).stdout
    assert "data-error" not in dump.partition("<body")[2].partition(">")[0]
    assert re.search('data-said="([^"]*)"', dump)[1] == "S 0:0(0); protocol=6 TCP; pinned 2; end true"
