"""What `netstack up` refuses before it touches the network: one line, and the status of wrong usage or of failure.

Each of these would need a TAP if it were not refused, so a namespace that cannot be made stands guard: a command line
that is accepted by mistake ends in a complaint about its name.
"""

import re
import ssl
import sys

import pytest

from netstack import cli
from netstack.cli.up import command, make_plan, tls_context
from netstack.units import MILLISECOND

GUARD = ("--netns", "a/b")


def refused(capsys, *words):
    """(exit status, the one line)."""
    status = cli.main(["up", *GUARD, *words])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("netstack")
    return status, err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--port", "0"], "--port.*1<=x<=65535"),
        (["--port", "65536"], "--port"),
        (["--port", "http"], "--port"),
        (["--mtu", "67"], "--mtu.*68<=x<=65521"),
        (["--mtu", "65522"], "--mtu"),
        (["--address", "192.0.2.2", "--host-address", "10.0.0.1"], "not in the same subnet"),
        (["--address", "192.0.2.300"], "not an IPv4 address"),
        (["--address", "192.0.2.1/24", "--host-address", "192.0.2.1/24"], "cannot both be"),
        (["--gateway", "10.0.0.1"], "gateway"),
        (["--cc", "vegas"], "--cc.*reno"),
        (["--loss", "2"], "--loss.*share"),
        (["--delay", "soon"], "--delay.*time"),
        (["--rate", "fast"], "--rate.*rate"),
        (["--lifespan", "maybe"], "--lifespan"),
        (["--log-level", "loud"], "--log-level"),
        (["--app-dir", "/nowhere"], "--app-dir"),
        (["--no-such-option"], "No such option"),
        (["a:b", "c:d"], "unexpected extra argument"),
        (["--inspect-port", "0"], "--inspect-port.*1<=x<=65535"),
        (["a:b", "--inspect-port", "8080"], "port 8080 is the application's"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(capsys, words, complaint):
    status, line = refused(capsys, *words)
    assert status == 2
    assert re.search(complaint, line)
    assert line.endswith("(see netstack up --help)\n")


MODULES = {
    "broken": 'raise ValueError("not\\ntoday")\n',
    "needs": "import a_module_that_nobody_has\n",
    "typo": "x = = 1\n",
    "good": "number = 1\nasync def app(scope, receive, send): ...\ndef make():\n    raise KeyError('no settings')\n",
}


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("app", [], "MODULE:ATTR"),
        (":", [], "MODULE:ATTR"),
        ("nowhere:app", [], 'no module "nowhere"'),
        ("good:nothing", [], 'no attribute "nothing"'),
        ("good:number", [], "not callable"),
        ("good:make", [], "--factory"),
        ("good:make", ["--factory"], "factory.*KeyError: 'no settings'.*good.py, line 4"),
        ("broken:app", [], "ValueError: not today.*broken.py, line 1"),
        ("needs:app", [], 'no module named "a_module_that_nobody_has"'),
        ("typo:app", [], "typo.py, line 1"),
    ],
)
def test_an_application_that_cannot_be_had_is_one_line(capsys, tmp_path, monkeypatch, name, options, complaint):
    for module, text in MODULES.items():
        (tmp_path / f"{module}.py").write_text(text)
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    status, line = refused(capsys, name, "--app-dir", str(tmp_path), *options)
    assert status == 1
    assert re.search(complaint, line)


def test_the_guard_itself_is_refused_in_one_line(capsys):
    status, line = refused(capsys)
    assert status == 1
    assert "'a/b' cannot be the name of a namespace" in line


def planned(*words):
    """The plan that a command line makes."""
    return make_plan(command.make_context("up", list(words)).params)


def test_the_options_become_a_plan():
    plan = planned(
        *("--port", "80", "--address", "10.0.0.9", "--mtu", "9000", "--tap", "t9", "--netns", "lab", "--no-offload"),
        *("--pcap", "a.pcapng", "--trace", "t.jsonl", "--lifespan", "on", "--no-access-log", "--gateway", "10.0.0.7"),
    )
    assert (plan.url, str(plan.stack), str(plan.host)) == ("http://10.0.0.9/", "10.0.0.9/24", "10.0.0.1/24")
    assert (plan.mtu, plan.tap, plan.netns, plan.offload) == (9000, "t9", "lab", False)
    assert (plan.pcap, plan.trace, plan.lifespan, plan.access_log) == ("a.pcapng", "t.jsonl", "on", False)
    assert str(plan.gateway) == "10.0.0.7"
    assert not plan.impaired


def test_the_path_is_impaired_in_both_directions_and_repeatably():
    plan = planned(
        *("--loss", "2%", "--delay", "20ms", "--reorder", "0.1", "--duplicate", "1%", "--corrupt", "1%"),
        *("--rate", "10M", "--seed", "7"),
    )
    faults = plan.faults
    assert (faults.loss, faults.reorder, faults.duplicate, faults.corrupt) == (0.02, 0.1, 0.01, 0.01)
    assert (faults.delay, faults.rate) == (20 * MILLISECOND, 10_000_000)
    assert (plan.seed, plan.network.offload) == (7, False)


def test_without_a_seed_one_is_chosen_that_can_be_given_again():
    plan = planned("--loss", "1%")
    assert planned("--loss", "1%", "--seed", str(plan.seed)) == plan


@pytest.mark.parametrize(
    ("words", "port"),
    [
        ([], None),
        (["--inspect"], 8080),
        (["--inspect", "--port", "80"], 80),
        (["--inspect-port", "9000"], 9000),
        (["a:b", "--inspect"], 8081),
        (["a:b", "--inspect", "--port", "65535"], 65534),
        (["a:b", "--inspect", "--inspect-port", "80"], 80),
    ],
)
def test_the_live_page_is_in_front_of_the_welcome_page_and_beside_anything_else(words, port):
    plan = planned(*words)
    assert plan.inspect == port
    assert plan.network.offload is (port is None)
    assert plan.page_url == (None if port is None else f"http://192.0.2.2{'' if port == 80 else f':{port}'}/")


def test_tls_needs_a_certificate_that_can_be_used(capsys, tmp_path):
    junk = tmp_path / "junk.pem"
    junk.write_text("nothing")
    status, line = refused(capsys, "--tls-cert", str(junk))
    assert status == 1
    assert f"cannot use the certificate in {junk}" in line
    status, line = refused(capsys, "--tls-key", str(junk))
    assert status == 2
    assert "--tls-key needs --tls-cert" in line


def test_the_key_log_is_an_option_or_in_the_environment(monkeypatch):
    assert planned("--tls-keylog", "a.log").keylog == "a.log"
    monkeypatch.setenv("SSLKEYLOGFILE", "env.log")
    assert planned().keylog == "env.log"


def test_a_key_log_that_cannot_be_written_is_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda *_: None)
    certificate = tmp_path / "certificate.pem"
    certificate.touch()
    missing = tmp_path / "missing" / "keys.log"
    status, line = refused(capsys, "--tls-cert", str(certificate), "--tls-keylog", str(missing))
    assert status == 1
    assert f"cannot write {missing}: No such file or directory" in line
    context = tls_context(str(certificate), None, str(tmp_path / "keys.log"))
    assert context.keylog_filename == str(tmp_path / "keys.log")
