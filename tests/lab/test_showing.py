"""What experiments and campaigns leave behind: text, tables, plots, files."""

import csv
import io
import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import pytest

from netstack import cli
from netstack.lab import campaign, text
from netstack.lab.report import report
from netstack.lab.scenario import Bursts, Flow, Link, Scenario
from netstack.lab.simulation import run
from netstack.units import MILLISECOND, SECOND

BASE = Scenario(Link(rate=2_000_000, rtt=20 * MILLISECOND), duration=SECOND)
SHORT = ["lab", "--rate", "2Mbit", "--rtt", "20ms", "--duration", "1s"]


# -- quantities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "value"), [("1500", 1500), ("64kB", 64_000), ("16MiB", 16 << 20), ("1.5M", 1_500_000), ("2 gb", 2 * 10**9)]
)
def test_octets(word, value):
    assert text.octets(word) == value


@pytest.mark.parametrize("word", ["", "kB", "-1", "5x", "1e6", "5p"])
def test_what_is_no_amount_is_refused(word):
    with pytest.raises(ValueError, match="amount of octets"):
        text.octets(word)


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("1bdp", {"queue_bdp": 1.0}),
        ("0.5BDP", {"queue_bdp": 0.5}),
        ("100", {"queue_packets": 100}),
        ("100p", {"queue_packets": 100}),
        ("64kB", {"queue": 64_000}),
        ("900B", {"queue": 900}),
    ],
)
def test_sizes_of_queues(word, fields):
    assert text.queue(word) == fields


@pytest.mark.parametrize("word", ["", "0", "0bdp", "1.5", "many", "1bdps", "5k"])
def test_what_is_no_queue_is_refused(word):
    with pytest.raises(ValueError, match="not a queue"):
        text.queue(word)


def test_quantities_in_words():
    assert [text.rate(r) for r in (93_412_000, 1e9, 560, 64_000)] == [
        "93.41 Mbit/s",
        "1 Gbit/s",
        "560 bit/s",
        "64 kbit/s",
    ]
    assert [text.amount(n) for n in (625_000, 12_500_000, 17)] == ["625 kB", "12.5 MB", "17 B"]
    assert [text.time(t) for t in (10 * SECOND, 50_000, 120)] == ["10 s", "50 ms", "120 us"]
    assert text.percent(0.0125) == "1.25%"


def test_columns_stand_under_each_other():
    assert text.columns([["a", "bb", "c"], ["aaa", "b", "cc"]], left=1) == ["a    bb   c", "aaa   b  cc"]


# -- reports -----------------------------------------------------------------------------------------------------------


def test_a_report_says_what_was_tried_what_came_out_and_what_theory_says():
    link = replace(
        BASE.link, rate=50_000_000, loss=0.02, jitter=MILLISECOND, ack_loss=0.01, reorder=0.01, duplicate=0.01
    )
    scenario = replace(BASE, link=link, flows=(Flow(), Flow("reno")), warmup=SECOND // 2)
    said = report(scenario, run(scenario))
    for words in ("50 Mbit/s, rtt 20 ms, queue 1 bdp (125 kB), droptail, jitter 1 ms, loss 2%, ACK loss 1%",
                  "reordered 1% by 5 ms, duplicated 1%", "2 flows, 1 s (500 ms of it to warm up), seed 1",
                  "utilisation", "fairness (Jain)", "lost on the path",
                  "flow 1: ", "of cubic's response function (RFC 9438 5.1: ",
                  "flow 2: ", "of reno's response function (Mathis et al. 1997: ",
                  "of what its rules come to with losses by chance",
                  "slow start, and the window that it left, are in this: --warmup"):  # fmt: skip
        assert words in said
    assert "NOT" not in said


def test_a_report_of_transfers_says_when_they_ended_or_that_they_did_not():
    scenario = replace(BASE, size=20_000, flows=(Flow(), Flow(start=SECOND - 1000)))
    said = report(scenario, run(scenario))
    assert "flow 1 had all of it after " in said
    assert "flow 2 was not done in time" in said
    dead = replace(BASE, link=Link(loss=1.0), size=1, duration=600 * SECOND)
    assert "flow 1 broke off: errno" in report(dead, run(dead))


def test_where_the_link_is_the_limit_nothing_is_said_of_shares_of_response_functions():
    scenario = replace(BASE, link=replace(BASE.link, loss=0.001))
    said = report(scenario, run(scenario))
    assert "the link, and not loss, is the limit" in said
    assert "of cubic's response function" not in said


def test_bursts_and_unlimited_rates_are_described_and_not_compared_with_functions_of_single_losses():
    scenario = replace(BASE, link=Link(rate=0, rtt=20_000, bursts=Bursts.of(0.01, 4)), duration=SECOND // 2)
    said = report(scenario, run(scenario))
    assert said.startswith("no rate limit, rtt 20 ms, loss in bursts 1%")
    assert "response function" not in said
    assert "utilisation" not in said


def test_octets_that_arrive_wrong_are_cried_out():
    result = replace(run(BASE), intact=False)
    assert "what was read is NOT what was sent" in report(BASE, result)


# -- campaigns ---------------------------------------------------------------------------------------------------------


AXES = {"loss": (0.0, 0.02), "cc": ("cubic", "reno")}


def test_a_grid_holds_every_combination_with_every_seed():
    points = campaign.grid(BASE, AXES, range(5, 7))
    assert len(points) == 8
    assert [(dict(p.place)["loss"], p.scenario.flows[0].cc, p.scenario.seed) for p in points[:5]] == [
        (0.0, "cubic", 5), (0.0, "cubic", 6), (0.0, "reno", 5), (0.0, "reno", 6), (0.02, "cubic", 5),
    ]  # fmt: skip
    assert points[-1].scenario.link.loss == 0.02


def test_flows_and_fields_of_scenarios_can_be_varied_and_unknown_things_cannot():
    assert len(campaign.vary(BASE, "flows", 3).flows) == 3
    assert campaign.vary(BASE, "mtu", 9000).mtu == 9000
    with pytest.raises(ValueError, match="'colour' cannot be varied"):
        campaign.vary(BASE, "colour", 1)


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_gives_the_same_rows_in_the_same_order(pool):
    points = campaign.grid(BASE, AXES, [1])
    here = [campaign.measure(point) for point in points]
    with pool(2) as executor:
        assert list(campaign.campaign(points, executor)) == here
    assert [row.place for row in here] == [point.place for point in points]


def test_tables_for_people_and_for_programs():
    rows = [campaign.measure(point) for point in campaign.grid(BASE, AXES, [1, 2])]
    lines = campaign.table(rows).splitlines()
    assert len(lines) == 5
    assert lines[0].split()[:4] == ["loss", "cc", "runs", "goodput"]
    assert lines[3].split()[:3] == ["2%", "cubic", "2"]
    assert lines[1].endswith("-")  # no loss, so no response function
    file = io.StringIO()
    campaign.write_csv(rows, file)
    read = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(read) == 8
    assert [float(line["goodput"]) for line in read] == [row.measures["goodput"] for row in rows]
    assert {line["of_theory"] + line["of_rules"] for line in read if line["loss"] == "0.0"} == {""}
    lossy = [line for line in read if line["loss"] != "0.0"]
    assert all(1 < float(line["of_theory"]) / float(line["of_rules"]) < 1.25 for line in lossy)  # what chance gives
    assert campaign.table([]) == "nothing was run"


# -- the command -------------------------------------------------------------------------------------------------------


def lab(capsys, *words):
    """(exit status, what was printed, what was complained about)."""
    status = cli.main([*SHORT, *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_prints_a_report_the_same_each_time(capsys):
    status, out, err = lab(capsys, "--cc", "cubic,reno", "--loss", "1%")
    assert (status, err) == (0, "")
    assert "2 flows, 1 s, seed 1" in out
    assert lab(capsys, "--cc", "cubic,reno", "--loss", "1%") == (0, out, "")
    assert lab(capsys, "--cc", "cubic,reno", "--loss", "1%", "--seed", "2")[1] != out


def test_every_option_reaches_the_scenario(capsys, tmp_path):
    file = tmp_path / "result.json"
    words = (
        "--jitter 1ms --loss 1% --loss-every 50 --burst-loss 1%:4 --ack-loss 2% --reorder 3% --reorder-by 4ms "
        "--duplicate 5% --queue 30 --aqm codel --ecn --flows 3 --cc reno,cubic --start 0,20ms --extra-rtt 0,7ms "
        "--bytes 10kB --warmup 100ms --seed 9 --mtu 1400 --offload --rmem 1MB --wmem 2MB"
    )
    status, _, err = lab(capsys, *words.split(), "--json", str(file))
    assert (status, err) == (0, "")
    tried = json.loads(file.read_text())["scenario"]
    link = tried["link"]
    assert (link["rate"], link["rtt"], link["jitter"]) == (2_000_000, 20_000, 1_000)
    assert (link["loss"], link["loss_every"], link["ack_loss"]) == (0.01, 50, 0.02)
    assert (link["reorder"], link["reorder_by"], link["duplicate"]) == (0.03, 4_000, 0.05)
    assert link["bursts"]["to_good"] == 0.25
    assert (link["queue_packets"], link["aqm"], link["ecn"]) == (30, "codel", True)
    assert [flow["cc"] for flow in tried["flows"]] == ["reno", "cubic", "reno"]
    assert [flow["start"] for flow in tried["flows"]] == [0, 20_000, 0]
    assert [flow["extra_rtt"] for flow in tried["flows"]] == [0, 7_000, 0]
    assert (tried["size"], tried["duration"], tried["warmup"]) == (10_000, SECOND, 100_000)
    assert (tried["seed"], tried["mtu"], tried["coalesce"]) == (9, 1400, 200)
    assert (tried["tcp"]["rmem"][2], tried["tcp"]["wmem"][2]) == (1_000_000, 2_000_000)


def test_json_holds_the_figures_and_csv_the_windows_over_time(capsys, tmp_path):
    for name in ("a", "b"):
        assert lab(capsys, "--json", str(tmp_path / f"{name}.json"), "--csv", str(tmp_path / f"{name}.csv"))[0] == 0
    for ending in ("json", "csv"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    result = json.loads((tmp_path / "a.json").read_text())["result"]
    assert result["flows"][0]["goodput"] > 1_000_000
    assert result["intact"] is True
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert {"flow", "time", "cwnd", "ssthresh", "flight", "srtt", "snd_wnd"} == set(rows[0])
    assert len(rows) > 50


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_plots_are_drawn_and_repeat_to_the_octet(capsys, tmp_path, ending, begins):
    pytest.importorskip("matplotlib", reason="plots are an extra: pip install 'netstack[lab]'")
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for file in files:
        assert lab(capsys, "--cc", "cubic,reno", "--queue", "5", "--plot", str(file))[0] == 0
    one, other = (file.read_bytes() for file in files)
    assert one.startswith(begins)
    assert one == other


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--loss", "200%"], "not a share"),
        (["--delay", "10ms"], "--rtt or --delay, not both"),
        (["--cc", "vegas"], "no congestion control here"),
        (["--queue", "none"], "not a queue"),
        (["--burst-loss", "1%"], "not LOSS:LENGTH"),
        (["--burst-loss", "90%:2"], "make them longer"),
        (["--warmup", "2s"], "warmup must end"),
        (["--bytes", "lots"], "not an amount"),
        (["--plot", "x.png", "campaign"], "for one experiment"),
        (["campaign", "--vary", "colour=red"], "cannot be varied"),
        (["campaign", "--vary", "rtt=soon"], "rtt=soon"),
        (["campaign", "--vary", "mtu=5"], "mtu must be"),
    ],
)
def test_wrong_usage_is_one_line_and_status_two(capsys, words, complaint):
    status, out, err = lab(capsys, *words)
    assert (status, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--plot", "x.unheard-of"], ["--json", "missing/x"], ["--csv", "missing/x"]])
def test_a_file_that_cannot_be_written_is_a_failure_in_one_line(capsys, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if words[0] == "--plot":
        pytest.importorskip("matplotlib")
    status, _, err = lab(capsys, *words)
    assert status == 1
    assert err.count("\n") == 1


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_campaign_prints_a_table_and_writes_every_run(capsys, tmp_path, jobs):
    file = tmp_path / "runs.csv"
    words = ("campaign", "--vary", "loss=0,2%", "--vary", "aqm=droptail,codel", "--seeds", "2", "-j", jobs)
    status, out, err = lab(capsys, *words, "--csv", str(file))
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 5
    assert len(file.read_text().splitlines()) == 9


def test_help_has_examples(capsys):
    assert cli.main(["lab", "--help"]) == 0
    assert "netstack lab --rate 10Mbit" in capsys.readouterr().out
    assert cli.main(["lab", "campaign", "--help"]) == 0
    assert "--vary" in capsys.readouterr().out
