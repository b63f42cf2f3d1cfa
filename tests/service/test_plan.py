"""What a plan means for the stack and for the host."""

from ipaddress import IPv4Address, IPv4Interface
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from netstack.link.fault import Faults
from netstack.service.plan import Plan


def test_the_plan_that_nobody_changed_is_the_documented_one():
    plan = Plan()
    assert plan.url == "http://192.0.2.2:8080/"
    assert (str(plan.host), plan.tap, plan.netns, plan.mtu) == ("192.0.2.1/24", "netstack0", None, 1500)
    assert plan.network.offload
    assert not plan.impaired


def test_the_port_that_everybody_assumes_is_not_said():
    assert Plan(port=80).url == "http://192.0.2.2/"


def test_with_a_certificate_it_is_https():
    tls = SSLContext(PROTOCOL_TLS_SERVER)
    assert Plan(tls=tls).url == "https://192.0.2.2:8080/"
    assert Plan(tls=tls, port=443).url == "https://192.0.2.2/"


def test_the_stack_is_configured_with_what_was_chosen():
    config = Plan(stack=IPv4Interface("10.0.0.2/8"), gateway=IPv4Address("10.0.0.9"), mtu=9000).config
    assert (str(config.address), str(config.gateway), config.mtu) == ("10.0.0.2/8", "10.0.0.9", 9000)


def test_the_congestion_control_reaches_tcp():
    assert Plan(congestion_control="reno").config.tcp.congestion_control == "reno"


def test_an_imperfect_path_carries_no_super_segments():
    plan = Plan(faults=Faults(loss=0.02))
    assert plan.impaired
    assert not plan.network.offload
