"""Every reason for which the stack drops something is explained, and nothing else is."""

import ast
from pathlib import Path

import netstack
from netstack.inspect.reasons import REASONS, explain

CORE = Path(netstack.__file__).parent
DROPPERS = {"drop", "_drop", "_refuse", "_malformed"}
LAYERS = ("ethernet", "arp", "neighbor", "ipv4", "icmp", "udp")


def test_every_reason_in_the_source_is_explained():
    assert reasons_in_the_source() == set(REASONS)


def reasons_in_the_source():
    found = set()
    for folder in ("link", "ip", "udp", "tcp"):
        for path in (CORE / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    layer, _, rest = node.value.partition(".")
                    if layer in LAYERS and rest.isidentifier():
                        found.add(node.value)
                elif folder == "tcp" and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                    if name in DROPPERS:
                        found |= {
                            f"tcp.{part.value}"
                            for part in ast.walk(node.args[0])
                            if isinstance(part, ast.Constant) and isinstance(part.value, str)
                        }
    return found - {"tcp.tcp."}


def test_a_reason_is_one_phrase_and_its_paragraph():
    for words, paragraph in REASONS.values():
        assert words[-1] not in ".:"
        assert not paragraph or paragraph.startswith("RFC ")
    assert explain("ipv4.not_ours") == "it is for another address (RFC 1122 3.2.1.3)"
    assert explain("udp.receive_buffer_full") == "the user does not read, and the buffer is full"
    assert explain("tap.write_EIO") == "write EIO"
