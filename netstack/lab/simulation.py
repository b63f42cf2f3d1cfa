"""Runs one scenario: builds the hosts, the path and the transfers, turns the clock, and sums up what was measured.

    senders (one for each flow) -- bottleneck -- legs -- one receiver
                                <-- legs -- the way back --

All randomness comes from the scenario's seed; every concern has a stream of its own, so that adding one fault does not
change what the others do.
"""

from dataclasses import replace
from random import Random

from netstack.lab import loss
from netstack.lab.agenda import Agenda
from netstack.lab.aqm import Aqm, CoDel, DropTail, Red
from netstack.lab.bottleneck import Bottleneck
from netstack.lab.endpoint import Host, Lan
from netstack.lab.leg import Leg
from netstack.lab.result import FlowResult, FlowSeries, Result, fairness, percentiles
from netstack.lab.scenario import Link, Scenario, tcp_for
from netstack.lab.transfer import PORT, Sink, Transfer
from netstack.lab.watch import Meter, Watch
from netstack.tcp.connection import Connection
from netstack.units import SECOND, Micros, Octets

_RECEIVER = 1
_NANOSECONDS = 1_000
_UNDONE = ("TcpExtTCPFullUndo", "TcpExtTCPPartialUndo", "TcpExtTCPDSACKUndo", "TcpExtTCPLossUndo")


def run(scenario: Scenario, record: bool = False) -> Result:
    """Carry out `scenario`; `record`: keep what plots need."""
    return Simulation(scenario, record).run()


class Simulation:
    """The parts of one experiment."""

    def __init__(self, scenario: Scenario, record: bool = False) -> None:
        self.scenario = scenario
        self.agenda = Agenda()
        self._tcp = tcp_for(scenario)
        count = len(scenario.flows)
        self._meters = [Meter(scenario.warmup, record) for _ in range(count)]
        self.watch = Watch(self._meters) if record else None
        self.forward = self._forward()
        self.back = Bottleneck(
            self.agenda, scenario.link.rate, 0, 0, DropTail(), loss.of_acks(scenario.link, self._random("acks")),
            0.0, self._random("back"), count, None,
        )  # fmt: skip
        self._lan = Lan(self.agenda)
        self.receiver = self._host(_RECEIVER, self.back, "")
        self.transfers = [self._transfer(i) for i in range(count)]
        self._sinks = {transfer.host.address: transfer.sink for transfer in self.transfers}
        self._listener = self.receiver.stack.tcp.listen(self.receiver.address, PORT, count)
        self._listener.observer = self._accept

    # -- building

    def _random(self, concern: str) -> Random:
        return Random(f"{self.scenario.seed} {concern}")

    def _forward(self) -> Bottleneck:
        scenario, link = self.scenario, self.scenario.link
        limit = link.limit(scenario.mtu)
        octets = 0 if link.queue_packets and not link.queue else limit
        return Bottleneck(
            self.agenda, link.rate, octets, link.queue_packets, _aqm(link, limit, scenario.mtu, self._random("aqm")),
            loss.of_data(link, self._random("loss")), link.duplicate, self._random("duplicate"),
            len(scenario.flows), self.watch,
        )  # fmt: skip

    def _host(self, number: int, way: Bottleneck, cc: str) -> Host:
        scenario = self.scenario
        tcp = replace(self._tcp, congestion_control=cc) if cc else self._tcp
        return Host(self.agenda, self._lan, way, number, tcp, scenario.mtu, f"{scenario.seed} host {number}")

    def _transfer(self, flow: int) -> Transfer:
        scenario, link, meter = self.scenario, self.scenario.link, self._meters[flow]
        wanted = scenario.flows[flow]
        host = self._host(_RECEIVER + 1 + flow, self.forward, wanted.cc)
        host.connects(self.receiver.mac, flow)
        self.receiver.connects(host.mac, flow)
        there = (link.rtt + wanted.extra_rtt) // 2
        rng = self._random(f"leg {flow}")
        faults = (scenario.jitter, link.reorder, link.reorder_by)
        self.forward.attach(Leg(self.agenda, self.receiver, self.forward, there, scenario.coalesce, rng, *faults))
        back = link.rtt + wanted.extra_rtt - there
        self.back.attach(Leg(self.agenda, host, self.back, back, 0, rng))
        sink = Sink(self.receiver, scenario.size, self._done)
        transfer = Transfer(host, (self.receiver.address, PORT), sink, meter, scenario.size)
        self.agenda.wake(transfer, wanted.start + int(self._random(f"start {flow}").random() * link.rtt))
        return transfer

    def _accept(self, flags: int) -> None:
        while (conn := self._listener.accept()) is not None:
            assert isinstance(conn, Connection)
            self._sinks[conn.remote[0]].accept(conn)

    # -- running

    def run(self) -> Result:
        """Until all is transferred, or the time is over."""
        scenario, agenda = self.scenario, self.agenda
        octets_warm: Octets = 0
        if scenario.warmup:
            agenda.run(scenario.warmup)
            self.forward.advance(agenda.now)
            octets_warm = self.forward.octets
            for transfer in self.transfers:
                transfer.sink.received_warm = transfer.sink.received
        agenda.run(scenario.duration)
        self.forward.advance(agenda.now)
        return self._summary(octets_warm, agenda.now)

    def _done(self) -> None:
        if all(transfer.error or transfer.sink.finished_at >= 0 for transfer in self.transfers):
            self.agenda.stop()

    # -- summing up

    def _summary(self, octets_warm: Octets, end: Micros) -> Result:
        flows = tuple(self._flow_result(i, end) for i in range(len(self.transfers)))
        measured, rate = end - self.scenario.warmup, self.scenario.link.rate
        utilisation = 0.0
        if rate and measured > 0:
            utilisation = (self.forward.octets - octets_warm) * 8 * SECOND / measured / rate
        received = sum(transfer.sink.received - transfer.sink.received_warm for transfer in self.transfers)
        return Result(
            flows,
            end,
            received * 8 * SECOND / measured if measured > 0 else 0.0,
            utilisation,
            fairness([flow.goodput for flow in flows]),
            not any(transfer.sink.wrong for transfer in self.transfers),
            tuple(FlowSeries.of(meter.recording) for meter in self._meters if meter.recording is not None),
            None if self.watch is None else self.watch.queue,
        )

    def _flow_result(self, i: int, end: Micros) -> FlowResult:
        transfer, meter, counts = self.transfers[i], self._meters[i], self.forward.counts[i]
        sink, conn, mib = transfer.sink, meter.conn, transfer.host.stack.counters.mib
        until = sink.finished_at if sink.finished_at >= 0 else end
        since = max(self.scenario.warmup, transfer.started_at)
        received = sink.received - sink.received_warm
        mean_cwnd = meter.mean_cwnd(until)
        busy = sum(meter.limited.values())
        return FlowResult(
            cc=self.scenario.flows[i].cc,
            goodput=received * 8 * SECOND / (until - since) if until > since >= 0 else 0.0,
            received=sink.received,
            started=transfer.started_at,
            finished=sink.finished_at,
            error=transfer.error,
            segments=counts["sent"],
            retransmits=mib["TcpRetransSegs"],
            timeouts=mib["TcpExtTCPTimeouts"],
            probes=mib["TcpExtTCPLossProbes"],
            recoveries=mib["TcpExtTCPSackRecovery"] + mib["TcpExtTCPRenoRecovery"],
            undone=sum(mib[name] for name in _UNDONE),
            mean_cwnd=mean_cwnd,
            mss=conn.send_mss if conn is not None else 0,
            rtt=percentiles(meter.rtts),
            queueing=percentiles(self.forward.waits[i]),
            lost=counts["lost"],
            dropped=counts["queue_full"] + counts["aqm_dropped"],
            marked=counts["marked"],
            duplicated=counts["duplicated"],
            reordered=self.forward.legs[i].reordered,
            limited={name: time / busy if busy else 0.0 for name, time in meter.limited.items()},
        )


def _aqm(link: Link, limit: Octets, mtu: Octets, rng: Random) -> Aqm:
    if not link.rate or link.aqm == "droptail":
        return DropTail()
    if link.aqm == "codel":
        return CoDel(link.codel_target * _NANOSECONDS, link.codel_interval * _NANOSECONDS, mtu + 14)
    return Red(limit, (mtu + 14) * 8 * SECOND * _NANOSECONDS // link.rate, rng)
