"""`netstack states`: the three drawings say what the table says, and nothing in the SVG covers anything else."""

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from netstack import cli
from netstack.states import layout
from netstack.states.edges import DRAWN, EDGES, ENDS, leaving, merged, where
from netstack.states.mermaid import mermaid
from netstack.states.svg import svg
from netstack.states.text import text
from netstack.states.trail import Step
from netstack.tcp.state import CLOSED, ESTABLISHED, LISTEN, SYN_RECEIVED, TRANSITIONS, Cause, State

TABLE = {(old, cause, new) for cause, ways in TRANSITIONS.items() for old, new in ways.items()}
LABEL_WIDTH, LABEL_ABOVE, LABEL_BELOW = 7.6, 12, 4
"""Pixels: what a character of 13px sans-serif takes at most on average, and a line above and below its baseline."""
SVG = "{http://www.w3.org/2000/svg}"

Box = tuple[float, float, float, float]


def run(capsys, *words):
    """(exit status, stdout, stderr) of `netstack states WORDS`."""
    status = cli.main(["states", *words])
    return (status, *capsys.readouterr())


# -- what is said ------------------------------------------------------------------------------------------------------


def test_every_edge_of_the_table_is_drawn_or_listed():
    assert set(EDGES) == TABLE
    assert {edge for edge in EDGES if edge not in DRAWN} == {edge for edge in TABLE if edge[1] in ENDS}
    assert all(edge.new is CLOSED for edge in EDGES if edge.cause in ENDS)


def test_the_text_has_every_edge_under_its_state_with_its_paragraph():
    found = set()
    by_name = {str(state): state for state in State}
    by_label = {cause.label: cause for cause in Cause} | {cause.label.partition(", snd ")[0]: cause for cause in ENDS}
    by_label["CLOSE"] = Cause.CLOSE_CALLED
    for block in text().split("\n\n"):
        name, *lines = block.split("\n")
        for line in lines:
            label, new, paragraph = re.fullmatch(r"  (.+?) +-> (\S+) +(.+)", line).groups()
            cause = by_label[label]
            assert paragraph == cause.paragraph
            found.add((by_name[name], cause, by_name[new]))
    assert found == TABLE
    assert max(map(len, text().split("\n"))) <= 120


def test_no_label_promises_a_segment_on_the_way_to_closed():
    assert not any("snd" in edge.label for edge in EDGES if edge.new is CLOSED)
    assert any(edge.label == "CLOSE, snd FIN" for edge in EDGES)


def test_the_mermaid_edges_are_those_of_the_table():
    names = {state.name: state for state in State} | {"END": CLOSED}
    edges = re.findall(r"^    (\w+) --> (\w+) : (.+)$", mermaid(), re.MULTILINE)
    assert {(names[old], names[new]): label for old, new, label in edges} == {
        way: " or ".join(edge.label for edge in edges) for way, edges in merged(DRAWN).items()
    }
    for cause in ENDS:
        assert f" in {where(cause)}\n" in mermaid()


def test_states_are_named_or_those_that_are_missing():
    assert where(Cause.TIMED_OUT) == "every state but CLOSED, LISTEN, TIME-WAIT"
    assert where(Cause.FIN_WAIT_TIMED_OUT) == "FIN-WAIT-2"


# -- how it is drawn ---------------------------------------------------------------------------------------------------


def test_the_layout_has_a_place_for_every_state_and_a_way_for_every_drawn_edge():
    assert set(layout.CENTERS) == set(State)
    assert set(layout.ROUTES) == set(merged(DRAWN))


def test_the_svg_is_one_file_with_every_state_and_edge():
    root = ElementTree.fromstring(svg())
    groups = {group.get("id"): group for group in root.iter(f"{SVG}g") if group.get("id")}
    assert {state.name for state in State} < set(groups)
    for (old, new), edges in merged(DRAWN).items():
        title = groups[f"{old.name}-{new.name}"].findtext(f"{SVG}title")
        assert title.startswith(f"{old} to {new}: {edges[0].label}")
        assert edges[0].cause.paragraph in title
    assert not re.search(r"href|url\((?!#)|@import", svg()), "it refers to something outside"


def test_the_numbers_in_a_box_are_those_of_the_legend():
    root = ElementTree.fromstring(svg())
    for state in State:
        (box,) = (group for group in root.iter(f"{SVG}g") if group.get("id") == state.name)
        shown = [int(n) for n in (box.findtext(f"{SVG}text[@class='ends']") or "").split()]
        assert [ENDS[n - 1] for n in shown] == [cause for cause in ENDS if state in TRANSITIONS[cause]]


def box_of(center: layout.Point) -> Box:
    """left, top, right, bottom of a state."""
    (x, y), w, h = center, layout.BOX_WIDTH / 2, layout.BOX_HEIGHT / 2
    return x - w, y - h, x + w, y + h


def label_of(way: tuple[State, State]) -> Box:
    """left, top, right, bottom of an edge's label."""
    route = layout.ROUTES[way]
    x, y = route.label
    width = LABEL_WIDTH * len(" or ".join(edge.label for edge in merged(DRAWN)[way]))
    left = {"start": x, "middle": x - width / 2, "end": x - width}[route.anchor]
    return left, y - LABEL_ABOVE, left + width, y + LABEL_BELOW


def lines_of(way: tuple[State, State]) -> list[Box]:
    """The straight parts of an edge, as boxes without an inside."""
    lines = []
    for (x1, y1), (x2, y2) in pairwise(layout.ROUTES[way].corners):
        assert (x1 == x2) != (y1 == y2), f"{way} goes aslant"
        lines.append((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
    return lines


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_nothing_covers_anything_else():
    boxes = {str(state): box_of(center) for state, center in layout.CENTERS.items()} | {"END": box_of(layout.END)}
    labels = {f"label {old} {new}": label_of((old, new)) for old, new in layout.ROUTES}
    for (name, one), (other_name, other) in combinations({**boxes, **labels}.items(), 2):
        assert not overlap(one, other), f"{name} and {other_name}"
    for way in layout.ROUTES:
        for line in lines_of(way):
            for name, box in {**boxes, **labels}.items():
                assert not overlap(line, box), f"the edge {way} runs through {name}"
    for left, top, right, bottom in labels.values():
        assert 0 < left < right < layout.WIDTH
        assert 0 < top < bottom < layout.CHART_HEIGHT


def test_times_at_an_edge_cover_nothing_either():
    boxes = [box_of(center) for center in (*layout.CENTERS.values(), layout.END)]
    labels = {way: label_of(way) for way in layout.ROUTES}
    times = {way: times_of(way) for way in layout.ROUTES}
    for way, box in times.items():
        assert not any(overlap(box, other) for other in boxes), f"the times at {way} cover a state"
        assert not any(overlap(box, other) for other in labels.values()), f"the times at {way} cover a label"
        assert not any(overlap(box, times[other]) for other in times if other != way), f"those at {way} cover others"
        for other in layout.ROUTES:
            assert not any(overlap(line, box) for line in lines_of(other)), f"{other} runs through the times at {way}"
        assert 0 < box[0] < box[2] < layout.WIDTH
        assert box[1] > 0


def times_of(way: tuple[State, State]) -> Box:
    """left, top, right, bottom of when a step was taken, in bold."""
    route = layout.ROUTES[way]
    x, y = route.label[0], route.second_line
    width = 8.4 * len("2: 99.000000 s")
    left = {"start": x, "middle": x - width / 2, "end": x - width}[route.anchor]
    return left, y - LABEL_ABOVE + 3, left + width, y + LABEL_BELOW - 3  # digits are no higher


def test_overlaps_are_seen():
    box = box_of(layout.CENTERS[LISTEN])
    x, y = layout.CENTERS[LISTEN]
    assert overlap((x - 1, y - 1, x + 1, y + 1), box)
    assert overlap((0, y, 1000, y), box), "a line through it"
    assert not overlap((box[2], y, 1000, y), box), "a line that begins at its border"


@pytest.mark.parametrize("way", layout.ROUTES, ids=lambda way: f"{way[0]}-{way[1]}")
def test_edges_begin_and_end_at_the_borders_of_their_states(way):
    old, new = way
    target = layout.END if new is CLOSED and old.synchronized else layout.CENTERS[new]
    first, *_, last = layout.ROUTES[way].corners
    for (x, y), center in ((first, layout.CENTERS[old]), (last, target)):
        left, top, right, bottom = box_of(center)
        on_side = x in (left, right) and top < y < bottom
        on_end = y in (top, bottom) and left < x < right
        assert on_side or on_end, (x, y)


# -- one connection's way ----------------------------------------------------------------------------------------------

TRAIL = [
    Step(0, LISTEN, Cause.PEER_SYN, SYN_RECEIVED),
    Step(4_598, SYN_RECEIVED, Cause.SYN_ACKED, ESTABLISHED),
    Step(2_000_000, ESTABLISHED, Cause.PEER_RESET, CLOSED),
]
"""The last step is one that charts do not draw."""


def test_the_text_of_a_trail_marks_what_was_taken_among_what_could_have_been():
    lines = text(TRAIL).split("\n")
    taken = [line.split() for line in lines if " > " in line]
    assert [(words[0], words[-3:]) for words in taken] == [
        ("0.000000", ["third;", "3.10.7.3", "fourth"]), ("0.004598", ["9293", "3.10.7.4", "fifth"]),
        ("2.000000", ["second;", "3.10.7.4", "second"]),
    ]  # fmt: skip
    states = [line.strip() for line in lines if "->" not in line]
    assert states == ["LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSED"]
    assert len([line for line in lines if "->" in line]) == sum(len(leaving(step.old)) for step in TRAIL)
    assert max(map(len, lines)) <= 120
    assert text([]) == text()


def test_the_mermaid_of_a_trail_numbers_its_steps_and_draws_the_rare_one():
    lines = mermaid(TRAIL).split("\n")
    assert "    SYN_RECEIVED --> ESTABLISHED : 2. at 0.004598 s, rcv ACK of SYN" in lines
    assert "    ESTABLISHED --> END : 3. at 2.000000 s, rcv RST" in lines
    assert "    class END,ESTABLISHED,LISTEN,SYN_RECEIVED taken" in lines
    assert "    SYN_SENT --> ESTABLISHED : rcv SYN,ACK, snd ACK" in lines
    assert mermaid([]) == mermaid()


def test_the_svg_of_a_trail_marks_states_and_edges_and_lists_the_steps():
    root = ElementTree.fromstring(svg(TRAIL, "a < b"))
    groups = {group.get("id"): group for group in root.iter(f"{SVG}g") if group.get("id")}
    marked = {name for name, group in groups.items() if "taken" in (group.get("class") or "")}
    assert marked == {
        "LISTEN", "SYN_RECEIVED", "ESTABLISHED", "END", "LISTEN-SYN_RECEIVED", "SYN_RECEIVED-ESTABLISHED"
    }  # fmt: skip
    steps = [text.text for text in groups["SYN_RECEIVED-ESTABLISHED"].iter(f"{SVG}text")]
    assert steps == ["rcv ACK of SYN", "2: 0.004598 s"]
    listed = ["".join(text.itertext()) for text in groups["path"].iter(f"{SVG}text")]
    assert listed == [
        "The path of a < b",
        "10.000000 sLISTEN to SYN-RECEIVEDrcv SYN, snd SYN,ACKRFC 9293 3.10.7.2 third; 3.10.7.3 fourth",
        "20.004598 sSYN-RECEIVED to ESTABLISHEDrcv ACK of SYNRFC 9293 3.10.7.4 fifth",
        "32.000000 sESTABLISHED to CLOSEDrcv RSTRFC 9293 3.10.7.3 second; 3.10.7.4 second",
    ]
    heights = [float(text.get("y")) for text in root.iter(f"{SVG}text")]
    assert max(heights) < float(root.get("height"))
    assert svg([]) == svg()


def test_a_way_taken_twice_has_both_times():
    again = [*TRAIL, Step(3_000_000, LISTEN, Cause.PEER_SYN, SYN_RECEIVED)]
    assert "1: 0.000000 s, 4: 3.000000 s" in svg(again)


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_prints_text_or_mermaid(capsys):
    assert run(capsys) == (0, text() + "\n", "")
    assert run(capsys, "--mermaid") == (0, mermaid() + "\n", "")


def test_the_command_writes_the_drawing(capsys, tmp_path):
    assert run(capsys, "--svg", str(tmp_path / "states.svg")) == (0, "", "")
    assert (tmp_path / "states.svg").read_text() == svg()
    assert run(capsys, "--svg", "-") == (0, svg(), "")


def test_two_drawings_at_once_are_wrong_usage(capsys):
    status, out, err = run(capsys, "--mermaid", "--svg", "-")
    assert (status, out) == (2, "")
    assert err.startswith("netstack states: --mermaid and --svg are two drawings")


def test_a_file_that_cannot_be_written_is_one_line(capsys, tmp_path):
    status, out, err = run(capsys, "--svg", str(tmp_path / "missing" / "states.svg"))
    assert (status, out) == (1, "")
    assert err == f"netstack: cannot write {tmp_path}/missing/states.svg: No such file or directory\n"
