"""What a user sees of a running stack: ping, curl, ab, a page of many parts, FastAPI, many clients, bad neighbours."""

import asyncio
import hashlib
import json
import random
import shutil
import socket

import pytest

from netstack.welcome.content import pieces
from tests.e2e.apps.page import DIGESTS
from tests.e2e.running import APPS, URL, running

pytestmark = pytest.mark.tap


def needs(program):
    """Marks a test of a program that not every machine has."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def content_digest(octets):
    digest = hashlib.sha256()
    for piece in pieces(octets):
        digest.update(piece)
    return digest.hexdigest()


@pytest.fixture(scope="module")
def up():
    """One run that the tests of this file share; the last of them find it as healthy as the first."""
    with running("--no-access-log") as up:
        yield up


@needs("ping")
@pytest.mark.parametrize("size", [56, 1472, 1473, 20_000, 65_507])
def test_ping_of_any_size_is_answered(up, size):
    result = up.ns.run("ping", "-c2", "-i0.1", "-W5", "-s", str(size), "192.0.2.2", check=False)
    assert " 0% packet loss" in result.stdout


def test_programs_and_browsers_get_what_they_like(up):
    assert json.loads(up.curl(f"{URL}/"))["try"]["json"] == f"curl {URL}/json"
    assert up.curl("-H", "Accept: text/html", f"{URL}/").startswith("<!doctype html>")


def test_a_post_is_echoed(up):
    assert up.curl("-d", "hello=stack", f"{URL}/echo") == "hello=stack"


def test_a_chunked_post_that_waits_for_100_continue_is_echoed(up):
    headers = ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"]
    assert up.curl(*headers, "--data-binary", "x" * 100_000, f"{URL}/echo") == "x" * 100_000


def test_requests_share_a_connection(up):
    counts = up.curl("-w", "%{num_connects} ", *["-o", "/dev/null", f"{URL}/json"] * 3)
    assert counts.split() == ["1", "0", "0"]


def test_a_large_download_arrives_whole(up, tmp_path):
    octets = 100_000_000
    up.curl("-o", str(tmp_path / "down"), f"{URL}/bytes/{octets}")
    with open(tmp_path / "down", "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == content_digest(octets)


def test_a_large_upload_arrives_whole(up, tmp_path):
    octets = 50_000_000
    with open(tmp_path / "up", "wb") as file:
        file.writelines(pieces(octets))
    answer = json.loads(up.curl("-T", str(tmp_path / "up"), f"{URL}/upload"))
    assert (answer["octets"], answer["sha256"]) == (octets, content_digest(octets))


def test_a_stream_comes_piece_by_piece(up):
    assert up.curl("-N", f"{URL}/stream?n=3&interval=0.01").count("tick") == 3


@needs("ab")
@pytest.mark.parametrize("keep_alive", [["-k"], []], ids=["keep-alive", "a connection each"])
def test_ab_counts_no_failure(up, keep_alive):
    requests = 2_000 if keep_alive else 400
    out = up.ns.run("ab", "-q", *keep_alive, "-n", str(requests), "-c", "16", f"{URL}/plaintext").stdout
    assert f"Complete requests:      {requests}\n" in out
    assert "Failed requests:        0\n" in out


@needs("nmap")
def test_nmap_sees_one_open_port_and_a_host_that_refuses_the_others(up):
    out = up.ns.run("nmap", "-n", "-sS", "-T5", "-p", "1-200,8080", "192.0.2.2").stdout
    assert "8080/tcp open" in out
    assert "200 closed" in out
    assert "filtered" not in out


def test_many_connections_at_once(up):
    async def ask(number):
        reader, writer = await asyncio.open_connection("192.0.2.2", 8080)
        await gate.wait()  # all are open before the first asks
        writer.write(b"GET /plaintext HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.endswith(b"Hello, World!")

    async def ask_all(clients):
        tasks = [asyncio.create_task(ask(number)) for number in range(clients)]
        gate.set()
        return sum(await asyncio.wait_for(asyncio.gather(*tasks), 20))

    with up.ns.inside():
        gate = asyncio.Event()
        assert asyncio.run(ask_all(400)) == 400


def test_clients_that_are_killed_do_no_harm(up):
    for _ in range(3):
        client = up.ns.popen("curl", "-sS", "-o", "/dev/null", "--limit-rate", "1M", f"{URL}/bytes/1000000000")
        up.curl(f"{URL}/plaintext")
        client.kill()
        client.wait()
    assert up.curl(f"{URL}/plaintext") == "Hello, World!"


def test_random_frames_do_no_harm(up):
    rng = random.Random(1)
    with up.ns.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("netstack0", 0))
        for _ in range(2_000):
            kind = rng.choice([b"\x08\x00", b"\x08\x06", b"\x86\xdd", rng.randbytes(2)])
            to = rng.choice([bytes.fromhex("02005e000202"), b"\xff" * 6, rng.randbytes(6)])
            head = b"\x45" if kind == b"\x08\x00" else b""
            raw.send(to + rng.randbytes(6) + kind + head + rng.randbytes(rng.randrange(200)))
    assert up.curl(f"{URL}/plaintext") == "Hello, World!"


def test_a_page_of_many_parts(tmp_path):
    with running("page:app", "--app-dir", str(APPS), "--no-access-log") as up:
        document = up.curl(f"{URL}/")
        assert document.count("<img") == len(DIGESTS)
        fetches = [word for path in DIGESTS for word in ("-o", str(tmp_path / path.rpartition("/")[2]), URL + path)]
        up.curl("--parallel", "--parallel-max", "6", *fetches)
        for path, digest in DIGESTS.items():
            assert hashlib.sha256((tmp_path / path.rpartition("/")[2]).read_bytes()).hexdigest() == digest


def test_fastapi_runs_as_it_is():
    with running("api:app", "--app-dir", str(APPS), "--lifespan", "on", "--no-access-log") as up:
        assert json.loads(up.curl(f"{URL}/items/7?q=x")) == {"item": 7, "q": "x", "started": True}
        assert json.loads(up.curl(f"{URL}/threaded")) == {"thread": "not the loop's"}
        post = ("-i", "-H", "content-type: application/json", f"{URL}/items", "-d")
        assert up.curl(*post, '{"name": "a"}').endswith('{"name":"a"}')
        assert "HTTP/1.1 422" in up.curl(*post, "{}")


@pytest.mark.parametrize(
    ("options", "octets"),
    [
        ("--no-offload", 20_000_000),
        ("--mtu 576", 5_000_000),
        ("--mtu 9000 --no-offload", 20_000_000),
        ("--mtu 68", 20_000),
        ("--loss 2% --delay 2ms --seed 1", 1_000_000),
        ("--reorder 5% --duplicate 2% --corrupt 1% --seed 1", 1_000_000),
        ("--rate 100M", 2_000_000),
    ],
)
def test_bytes_arrive_whole_over_every_kind_of_path(tmp_path, options, octets):
    with running("--no-access-log", *options.split()) as up:
        (tmp_path / "up").write_bytes(b"".join(pieces(octets)))
        answer = json.loads(up.curl("-T", str(tmp_path / "up"), f"{URL}/upload"))
        assert answer["sha256"] == content_digest(octets)
        up.curl("-o", str(tmp_path / "down"), f"{URL}/bytes/{octets}")
        assert hashlib.sha256((tmp_path / "down").read_bytes()).hexdigest() == content_digest(octets)
