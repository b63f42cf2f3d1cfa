"""What stands around the table: the stack, its traffic, its layers, what it dropped and why."""

from collections import Counter
from typing import Any

from rich.text import Text

from netstack.watch import figures
from netstack.watch.history import History


def title(hello: dict[str, Any], history: History, paused: bool, interval: float) -> Text:
    """Which stack, and how many of what."""
    kinds = Counter(row["kind"] for row in history.rows)
    where = f" in {hello['netns']}" if hello["netns"] else ""
    text = Text.assemble(("netstack ", "bold"), ("PAUSED ", "bold yellow") if paused else "")
    text.append(f"{hello['tap']}{where} {hello['address']}  {kinds['connection']} open, ")
    text.append(f"{kinds['half-open']} half-open, {kinds['time-wait']} TIME-WAIT")
    text.append(f"  every {interval:g}s", style="dim")
    return text


def traffic(history: History, width: int) -> list[Text]:
    """Segments, openings, retransmissions and drops a second, and the memory of all connections."""
    drops = sum(history.drop_rates.values())
    again = history.rate("TcpRetransSegs")
    first = Text.assemble(
        ("segments ", "dim"), f"{figures.count(history.rate('TcpInSegs')):>5}/s in "
        f"{figures.count(history.rate('TcpOutSegs')):>5}/s out  ",
        ("opened ", "dim"), f"{figures.count(history.rate('TcpPassiveOpens') + history.rate('TcpActiveOpens'))}/s  ",
        ("retrans ", "dim"), (f"{figures.count(again)}/s", "red" if again else ""), "  ",
        ("dropped ", "dim"), (f"{figures.count(drops)}/s", "red" if drops else ""), "  ",
    )  # fmt: skip
    room = width - len(first)
    if room >= 8:
        first.append(figures.sparkline(history.totals.get("TcpInSegs", ()), min(room, 60)), style="blue")
    return [first, _memory(history)]


def _memory(history: History) -> Text:
    tcp = history.layers.get("tcp")
    if tcp is None:
        return Text("")
    memory = tcp["memory"]
    used = f"{figures.count(memory['used'])}B of {figures.count(memory['high'])}B"
    waiting = sum(row["recv_q"] for row in history.rows if row["kind"] == "connection")
    queued = sum(row["send_q"] for row in history.rows if row["kind"] == "connection")
    text = Text.assemble(
        ("buffers ", "dim"), (used, "bold red" if memory["pressed"] else ""),
        (" to read ", "dim"), f"{figures.count(waiting)}B", (" to send ", "dim"), f"{figures.count(queued)}B",
        ("  orphans ", "dim"), str(memory["orphans"]),
    )  # fmt: skip
    for row in history.rows:
        if row["kind"] == "listener":
            text.append("  listening ", style="dim")
            text.append(f":{row['local_port']} {row['recv_q']}/{row['send_q']}")
            if row["half_open"]:
                text.append(f" +{row['half_open']} half-open", style="yellow")
    return text


def layers(history: History) -> list[Text]:
    """One line for each layer, the lowest last, as in every picture of a stack."""
    found = history.layers
    if not found:
        return []
    neighbors = found["arp"]["neighbors"]
    known = ", ".join(f"{one['address']} {one['state']}" for one in neighbors[:2])
    fragments = found["ip"]["reassembly"]["datagrams"]
    path = found["device"].get("path")
    device = f"MTU {found['device']['mtu']}, {'offload' if found['device']['offload'] else 'no offload'}"
    if path is not None:
        lost = sum(path[way].get("lost", 0) + path[way].get("queue_full", 0) for way in ("inbound", "outbound"))
        device = f"MTU {found['device']['mtu']}, path lost {figures.count(lost)}"
    timeouts = history.counter("TcpExtTCPTimeouts")
    said = {
        "tcp": _ways(history, "TcpInSegs", "TcpOutSegs") + f" RTO {figures.count(timeouts)}",
        "udp": _ways(history, "UdpInDatagrams", "UdpOutDatagrams"),
        "icmp": _ways(history, "IcmpInMsgs", "IcmpOutMsgs"),
        "ip": _ways(history, "IpInReceives", "IpOutRequests") + (f"  fragments {fragments}" if fragments else ""),
        "arp": f"{len(neighbors)} known: {known}" if neighbors else "nobody known",
        "ethernet": found["ethernet"]["mac"],
        "device": device,
    }
    return [Text.assemble((f"{name:<9}", "bold"), line) for name, line in said.items()]


def _ways(history: History, received: str, sent: str) -> str:
    inward, outward = (
        f"{figures.count(history.counter(name)):>5} {figures.count(history.rate(name)) + '/s':>7}"
        for name in (received, sent)
    )
    return f"in {inward} out {outward}"


def drops(history: History, height: int) -> list[Text]:
    """The reasons, the most frequent now first."""
    every = sorted(history.drops.items(), key=lambda item: (-history.drop_rates.get(item[0], 0.0), -item[1], item[0]))
    found = []
    for reason, number in every[:height]:
        rate = history.drop_rates.get(reason, 0.0)
        line = Text(f"{figures.count(number):>5} {figures.count(rate) + '/s' if rate else '':>6} ")
        line.append(reason, style="red" if rate else "")
        found.append(line)
    if len(every) > height > 0:
        found[-1] = Text(f"{'':12} and {len(every) - height + 1} more reasons", style="dim")
    return found or [Text("nothing", style="dim")]

