"""`--pcap`: the capture of a run, and what it says of where it was made."""

import platform
import time

from netstack import __version__
from netstack.host import HostError
from netstack.inspect.annotated import AnnotatingRecorder
from netstack.inspect.keylog import KeyLog
from netstack.link.device import Device
from netstack.link.pcap import PcapRecorder
from netstack.link.pcap_writer import About, PcapngWriter, create_capture
from netstack.link.tap import TapDevice
from netstack.service.plan import Plan
from netstack.units import SECOND


def recorded(plan: Plan, tap: TapDevice, device: Device) -> Device:
    """The device, with what passes recorded if that is wanted: as the stack sees it, behind the imperfect path.

    In a pcapng file each packet has a comment; what was drawn for TLS is in it too, if that is logged at all.
    """
    if plan.pcap is None:
        return device
    try:
        capture = create_capture(plan.pcap, about=about(plan, tap))
    except OSError as error:
        raise HostError(f"cannot write {plan.pcap}: {error.strerror}") from error
    # The stack's clock is the event loop's, which is time.monotonic.
    epoch = time.time_ns() // 1_000 - time.monotonic_ns() // 1_000
    if not isinstance(capture, PcapngWriter):
        return PcapRecorder(device, capture, epoch, flush_after=SECOND // 2)
    keys = None if plan.tls is None or plan.keylog is None else KeyLog(plan.keylog)
    return AnnotatingRecorder(device, capture, epoch, flush_after=SECOND // 2, keys=keys)


def about(plan: Plan, tap: TapDevice) -> About:
    """The run in the words of pcapng."""
    offload = "checksum and segmentation offload" if tap.offload else "no offload"
    where = f" in the network namespace {plan.netns}" if plan.netns else ""
    faults = f", behind an impaired path (--seed {plan.seed})" if plan.impaired else ""
    return About(
        interface=plan.tap,
        description=f"the stack's side of the TAP device {plan.tap}{where}{faults}: {plan.stack}, MTU {plan.mtu}",
        hardware=f"TAP with virtio_net_hdr, {offload}",
        mac=plan.config.mac,
        address=plan.stack.ip.packed,
        netmask=plan.stack.netmask.packed,
        host_hardware=platform.machine(),
        host_os=f"{platform.system()} {platform.release()}",
        application=f"netstack {__version__}",
        names={plan.stack.ip.packed: "netstack", plan.host.ip.packed: "host"},
    )
