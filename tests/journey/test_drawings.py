"""The ladder, the drawing and the page: everything in its place, nothing wider than it may be, nothing left open."""

import json
import re
from xml.etree import ElementTree

import pytest

from netstack.journey.drawing import svg
from netstack.journey.html import page
from netstack.journey.ladder import ladder
from netstack.journey.steps import LANES
from netstack.link.fault import Faults
from tests.journey.trips import journey

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("width", [80, 100, 131, 132, 160, 240])
@pytest.mark.parametrize("explained", [False, True])
def test_no_line_is_wider_than_asked_for(width, explained):
    lines = ladder(journey("/stream?n=3&interval=0.1"), width, explained)
    assert max(line.cell_len for line in lines) <= width
    assert all("\n" not in line.plain for line in lines)


def test_long_journeys_have_room_for_their_times():
    found = journey("/stream?n=2&interval=20")
    for n, step in enumerate(found):  # the trips' clock only counts
        step.at = n * 1_000_000_000
    lines = ladder(found, 80)
    assert lines[-1].plain.startswith(f"{(len(found) - 1) * 1_000_000:.1f} ") or not lines[-1].plain[0].isdigit()
    assert max(line.cell_len for line in lines) <= 80


def test_without_times_two_journeys_are_the_same_text():
    drawn = [[line.plain for line in ladder(journey(faults=Faults(delay=ms)), 100, timed=False)] for ms in (1000, 2000)]
    assert drawn[0] == drawn[1]


def test_an_arrow_goes_from_lane_to_lane():
    lines = [line.plain for line in ladder(journey(), 160)]
    heads = [lines[0].index(name) for name in ("client TAP", "TAP")]
    assert heads == sorted(heads)
    syn = next(line for line in lines if " S 0:0(0) " in line)
    assert "●─────▶     │" in syn
    assert "◀─────●" in next(line for line in lines if "http.response.start" in line)
    assert "SYN-RECEIVED" in next(line for line in lines if "S. 0:0(0) ack 1" in line)


def test_a_lost_frame_ends_in_a_cross():
    lines = [line.plain for line in ladder(journey(faults=Faults(loss=0.25)), 160)]
    assert any("✗" in line and "lost on the way" in line for line in lines)


def test_narrow_drawings_tell_of_states_on_lines_of_their_own():
    lines = [line.plain for line in ladder(journey(), 80)]
    assert any(line.endswith("server: LISTEN") for line in lines)


def test_the_svg_is_whole_and_has_a_row_for_each_step():
    found = journey(faults=Faults(loss=0.2))
    root = ElementTree.fromstring(svg(found, "GET <&>"))
    rows = [group for group in root.iter(f"{SVG}g") if "step" in group.get("class", "").split()]
    assert len(rows) == len(found)
    assert root.find(f"{SVG}title").text == "GET <&>"
    tips = [row.find(f"{SVG}title").text for row in rows]
    assert any("IPv4 time to live: 64 hops" in tip for tip in tips)
    height = float(root.get("height"))
    assert all(0 < float(text.get("y")) < height for text in root.iter(f"{SVG}text"))
    names = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "name"]
    assert len(names) == len(LANES)


def test_the_page_is_one_file_that_asks_for_nothing():
    found = journey("/echo?</script><b>", data="</script>")
    text = page(found, "POST </script>", "a & b")
    assert "<!--" not in text.replace("<!doctype", "")
    assert not re.search(r"(?:src|href)=|url\(|@import|fetch\(", text)
    assert text.count("</script>") == 2
    data = json.loads(re.search(r'id="steps">(.*?)</script>', text, re.DOTALL)[1])
    assert len(data) == len(found) == text.count('data-n="')
    assert "POST &lt;/script&gt;" in text
    first = next(step for step in data if "hex" in step)
    assert sum(field[3] for field in first["fields"]) == first["size"] == len(first["hex"]) // 2


def test_what_decided_a_step_is_marked():
    text = page(journey(), "t", "a")
    data = json.loads(re.search(r'id="steps">(.*?)</script>', text, re.DOTALL)[1])

    def decisive(kind):
        step = next(step for step in data if step["text"].startswith(kind) and "fields" in step)
        return {field[1] for field in step["fields"] if field[6]}

    assert decisive("for 02:00") == {"destination", "source", "EtherType"}
    assert {"sequence number", "window", "checksum"} <= decisive("P. 1:")
    assert "EtherType" not in decisive("P. 1:")
