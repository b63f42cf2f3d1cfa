"""What received packets cost, as Linux counts it (sk_rmem_alloc): the window offered, and what is dropped, follow.

A packet is charged with the memory that it lies in: a buffer rounded up to what the allocator has, and what describes
it, as for a packet read from a TUN device. Text that fits the room behind the last packet is copied there and costs
nothing more. Octets in order are charged late, when somebody asks: most are read before that, and cost nobody anything.

The octets themselves are in `reassembly`; this knows which packet brought them.
"""

from bisect import bisect_right
from collections.abc import Iterable

from netstack.tcp.reassembly import ReceiveBuffer
from netstack.tcp.tcb import Tcb
from netstack.units import Octets, Seq

_DESCRIPTOR: Octets = 256
_SHARED: Octets = 320
"""What describes a packet, and what is at the end of every buffer."""
_HEADROOM: Octets = 64
_PAGE: Octets = 4096
_BUFFERS = (576, 1024, 2048, 4096, 8192)
_LINEAR: Octets = _PAGE - _HEADROOM - _SHARED
"""A packet larger than a page has so much in its buffer, and the rest in pages of its own."""
_COLLAPSED: Octets = _PAGE - _SHARED
"""Text in one buffer after collapsing."""


def cost_of(size: Octets) -> tuple[Octets, Octets]:
    """What a packet of `size` octets, IP header included, is charged with; and the room behind it."""
    if size + _HEADROOM >= _PAGE:
        return _PAGE + _DESCRIPTOR + -(-(size - _LINEAR) // _PAGE) * _PAGE, 0
    return _linear(size + _HEADROOM)


def _linear(size: Octets) -> tuple[Octets, Octets]:
    least = -(-size // 64) * 64 + _SHARED
    buffer = next(buffer for buffer in _BUFFERS if least <= buffer)
    return buffer + _DESCRIPTOR, buffer - _SHARED - size


class Packet:
    """Octets [seq, end) and what they cost; `end` counts a FIN."""

    __slots__ = ("end", "fin", "room", "seq", "truesize")

    def __init__(self, seq: Seq, end: Seq, cost: tuple[Octets, Octets], fin: bool = False) -> None:
        self.seq: Seq = seq
        self.end: Seq = end
        self.truesize, self.room = cost
        self.fin = fin

    def take(self, seq: Seq, end: Seq) -> bool:
        """Copy [seq, end) behind what is here, if it follows and there is room."""
        if seq != self.end or end - seq > self.room:
            return False
        self.room -= end - seq
        self.end = end
        return True


class Packets:
    """The receive queue and the out-of-order queue of one connection."""

    __slots__ = ("_buffer", "_charged", "_in_order", "_tcb", "_upto", "beyond", "fin", "fin_waits", "predicted")

    def __init__(self, tcb: Tcb, buffer: ReceiveBuffer) -> None:
        self._tcb = tcb
        self._buffer = buffer
        self._in_order: list[Packet] = []
        self._charged: Octets = 0
        self._upto: Seq = 0
        """Octets in order below this have been charged."""
        self.beyond: list[Packet] = []
        """Packets beyond a gap, by their first octet; their ends are in the same order."""
        self.fin = 0
        """1: RCV.NXT counts the peer's FIN."""
        self.fin_waits: Octets = 0
        """The user has not read as far as the peer's FIN: what its packet costs, 1 if others pay for it."""
        self.predicted = True
        """Linux would predict the header of the next segment in order."""
        buffer.before_change = self.settle

    @property
    def header(self) -> Octets:
        """Of the common packet: IPv4 and TCP, with timestamps if they are on."""
        return 52 if self._tcb.ts_ok else 40

    def has_spare(self, size: Octets) -> bool:
        """Memory is taken in whole pages: the next packet in order, of `size`, may lie in the last one, and then nobody
        looks at the buffer's size (Linux's header prediction)."""
        return self.predicted and cost_of(size)[0] <= -self.settle() % _PAGE

    @property
    def rcv_wnd(self) -> Octets:
        """RCV.WND."""
        return self._tcb.rcv_wnd

    @property
    def ready(self) -> Octets:
        """Octets in order that the user has not read."""
        return self._buffer.ready

    def settle(self) -> Octets:
        """Charge what came since the last time, forget what was read. Returns what all this takes now."""
        end = self._tcb.rcv_nxt - self.fin
        buffer, queue = self._buffer, self._in_order
        start = end - buffer.ready
        read = 0
        for packet in queue:
            if packet.end > start:
                break
            self._charged -= packet.truesize
            read += 1
        if read:
            del queue[:read]
        upto = max(self._upto, start)
        if upto < end:
            sizes = []
            missing = end - upto
            for chunk in reversed(buffer.chunks):
                sizes.append(min(len(chunk), missing))
                missing -= sizes[-1]
                if not missing:
                    break
            header = self.header
            for size in reversed(sizes):
                self._add(upto, upto + size, size + header)
                upto += size
            self._upto = end
        return self._charged + self.fin_waits

    def take_fin(self, alone: bool) -> None:
        """The peer's FIN was reached; RCV.NXT counts it already. `alone`: in a packet without text."""
        self.fin = 1
        self.settle()
        self.fin_waits = cost_of(self.header)[0] if alone and not self._in_order else 1

    def arrives(self, seq: Seq, end: Seq, size: Octets) -> None:
        """A packet of `size` octets is about to be delivered, whose text may begin below RCV.NXT."""
        self.settle()
        self._add(seq, end, size)
        self._upto = end

    def _add(self, seq: Seq, end: Seq, size: Octets) -> None:
        queue = self._in_order
        if not queue or not queue[-1].take(seq, end):
            packet = Packet(seq, end, cost_of(size))
            queue.append(packet)
            self._charged += packet.truesize

    def end_of_first(self, seq: Seq) -> Seq:
        """Where the packet with octet `seq` ends; RCV.NXT if it was not charged yet, for then it was the last."""
        return next((packet.end for packet in self._in_order if packet.end > seq), self._tcb.rcv_nxt)

    # -- beyond a gap --------------------------------------------------------------------------------------------------

    def hold(self, packet: Packet) -> tuple[list[tuple[Seq, Seq]], int]:
        """A packet beyond RCV.NXT. Returns what came twice by it, in the order of its discovery, and how many packets
        were of no more use. An overlap shows only where Linux looks for one.
        """
        beyond, double = self.beyond, []
        seq, end = packet.seq, packet.end
        at = len(beyond)
        if beyond and seq < beyond[-1].end:
            at = bisect_right(beyond, seq, key=_seq)
        merged = 0
        if at:
            before = beyond[at - 1]
            if seq < before.end:
                if end <= before.end:
                    return [(seq, end)], 1
                if seq > before.seq:
                    double.append((seq, before.end))
                else:
                    double.append((before.seq, before.end))
                    self._charged -= before.truesize
                    merged = 1
                    at -= 1
                    del beyond[at]
            elif not packet.fin and before.take(seq, end):
                return [], 0
        beyond.insert(at, packet)
        self._charged += packet.truesize
        at += 1
        while at < len(beyond) and end > beyond[at].seq:
            after = beyond[at]
            double.append((after.seq, min(end, after.end)))
            if end < after.end:
                break
            self._charged -= after.truesize
            merged += 1
            del beyond[at]
        return double, merged

    def advance(self, rcv_nxt: Seq) -> list[tuple[Seq, Seq]]:
        """RCV.NXT reached `rcv_nxt`: packets that now are in order go to the receive queue. Returns what came twice."""
        self.settle()
        high, double = rcv_nxt, []
        n = 0
        for packet in self.beyond:
            if packet.seq > rcv_nxt:
                break
            n += 1
            if packet.seq < high:
                double.append((packet.seq, min(packet.end, high)))
            if packet.end <= rcv_nxt:
                self._charged -= packet.truesize
                continue
            end = packet.end - packet.fin
            if self._in_order and self._in_order[-1].take(packet.seq, end):
                self._charged -= packet.truesize
            else:
                packet.end = end
                self._in_order.append(packet)
            self._upto = end
            rcv_nxt = packet.end
        del self.beyond[:n]
        return double

    def forget_beyond(self) -> None:
        """Nothing is beyond the peer's FIN."""
        self._charged -= sum(packet.truesize for packet in self.beyond)
        self.beyond.clear()

    # -- when memory is short ------------------------------------------------------------------------------------------

    def collapse(self, ratio: int, rcvbuf: Octets) -> int:
        """Copy packets that are small for what they cost into as few buffers as possible. Returns how many went."""
        self.settle()
        gone = self._collapse_beyond(ratio, rcvbuf)
        if self._in_order:
            start = self._tcb.rcv_nxt - self.fin - self._buffer.ready
            self._in_order, some = self._collapsed(self._in_order, start, self._upto, ratio)
            gone += some
        return gone

    def _collapse_beyond(self, ratio: int, rcvbuf: Octets) -> int:
        kept: list[Packet] = []
        gone = tiny = 0
        for run in _runs(self.beyond):
            size = sum(packet.truesize for packet in run)
            end = max(packet.end for packet in run)
            if len(run) > 1 or end - run[0].seq >= _COLLAPSED:
                run, some = self._collapsed(run, run[0].seq, end, ratio)
                gone += some
            else:
                tiny += size
            kept += run
            if tiny > rcvbuf >> 3:
                kept += self.beyond[next(i for i, p in enumerate(self.beyond) if p.end == end) + 1 :]
                break
        self.beyond = kept
        return gone

    def _collapsed(self, packets: list[Packet], start: Seq, end: Seq, ratio: int) -> tuple[list[Packet], int]:
        """`packets`, those from the first that wastes memory on in new buffers."""
        i = 0
        while i < len(packets):
            packet = packets[i]
            wasteful = packet.truesize * ratio >> 8 > packet.end - packet.seq or packet.seq < start
            apart = i + 1 < len(packets) and packet.end != packets[i + 1].seq
            if packet.fin or wasteful or apart:
                break
            start = packet.end
            i += 1
        stop = next((k for k in range(i, len(packets)) if packets[k].fin), len(packets))
        if stop == i:
            return packets, 0
        made: list[Packet] = []
        end = min(end, packets[stop - 1].end)
        while start < end:
            size = min(_COLLAPSED, end - start)
            made.append(Packet(start, start + size, _linear(size)))
            start += size
        self._charged += sum(packet.truesize for packet in made) - sum(p.truesize for p in packets[i:stop])
        return packets[:i] + made + packets[stop:], stop - i

    def prune(self, seq: Seq, rcvbuf: Octets, whole: bool) -> Seq | None:
        """Drop packets beyond `seq`, the farthest first, an eighth of `rcvbuf` at a time, until it is not full any more
        (`whole`: all of them). Returns up to where is kept what was there; None: everything."""
        beyond, goal = self.beyond, rcvbuf >> 3
        pruned = False
        while beyond and seq <= beyond[-1].seq:
            packet = beyond.pop()
            pruned = True
            self._charged -= packet.truesize
            goal -= packet.truesize
            if not beyond or goal <= 0:
                if self._charged <= rcvbuf and not whole:
                    break
                goal = rcvbuf >> 3
        if not pruned:
            return None
        return beyond[-1].end if beyond else self._tcb.rcv_nxt

    def check(self) -> None:
        """Assert that the sums are true."""
        assert self._charged == sum(p.truesize for packets in (self._in_order, self.beyond) for p in packets)
        assert all(a.seq < b.seq and a.end < b.end for a, b in zip(self.beyond, self.beyond[1:], strict=False))


def _seq(packet: Packet) -> Seq:
    return packet.seq


def _runs(packets: Iterable[Packet]) -> Iterable[list[Packet]]:
    """Those that touch or overlap, together."""
    run: list[Packet] = []
    for packet in packets:
        if run and packet.seq > run[-1].end:
            yield run
            run = []
        run.append(packet)
    if run:
        yield run
