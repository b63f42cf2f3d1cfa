"""The names of ICMP types and codes (IANA's registries; RFC 792, 1122, 1812, 4443) and their numbers."""

V4_TYPES = {
    "echo_reply": 0,
    "unreachable": 3,
    "dst_unreachable": 3,
    "dest_unreachable": 3,
    "destination_unreachable": 3,
    "source_quench": 4,
    "redirect": 5,
    "echo": 8,
    "echo_request": 8,
    "time_exceeded": 11,
    "parameter_problem": 12,
    "timestamp": 13,
    "timestamp_request": 13,
    "timestamp_reply": 14,
    "information_request": 15,
    "information_reply": 16,
    "address_mask_request": 17,
    "address_mask_reply": 18,
}
V4_CODES = {
    "unreachable": {
        "net_unreachable": 0,
        "host_unreachable": 1,
        "protocol_unreachable": 2,
        "port_unreachable": 3,
        "frag_needed": 4,
        "source_route_failed": 5,
        "net_unknown": 6,
        "host_unknown": 7,
        "source_host_isolated": 8,
        "net_prohibited": 9,
        "host_prohibited": 10,
        "net_unreachable_for_tos": 11,
        "host_unreachable_for_tos": 12,
        "net_ano": 9,
        "host_ano": 10,
        "packet_filtered": 13,
        "admin_prohibited": 13,
        "precedence_violation": 14,
        "precedence_cutoff": 15,
    },
    "redirect": {"net": 0, "host": 1, "net_tos": 2, "host_tos": 3, "net_for_tos": 2, "host_for_tos": 3},
    "time_exceeded": {"ttl": 0, "ttl_exceeded": 0, "exceeded_ttl": 0, "frag_time": 1, "reassembly": 1},
}
V6_TYPES = {
    "unreachable": 1,
    "dst_unreachable": 1,
    "dest_unreachable": 1,
    "destination_unreachable": 1,
    "packet_too_big": 2,
    "time_exceeded": 3,
    "parameter_problem": 4,
    "echo_request": 128,
    "echo_reply": 129,
}
V6_CODES = {
    "unreachable": {
        "no_route": 0,
        "admin_prohibited": 1,
        "not_neighbour": 2,
        "beyond_scope": 2,
        "addr_unreachable": 3,
        "address_unreachable": 3,
        "host_unreachable": 3,
        "port_unreachable": 4,
        "policy_fail": 5,
        "reject_route": 6,
    },
    "time_exceeded": {"ttl": 0, "ttl_exceeded": 0, "exceeded_ttl": 0, "reassembly": 1},
    "parameter_problem": {"header_field": 0, "next_header": 1, "option": 2},
}
_ALIASES = dict.fromkeys(("dst_unreachable", "dest_unreachable", "destination_unreachable"), "unreachable")
KNOWN = {name for table in (V4_TYPES, V6_TYPES, *V4_CODES.values(), *V6_CODES.values()) for name in table}


def type_number(name: str, version: int) -> int | None:
    """The number of a type, given by name or in digits; None when IP `version` has no such type."""
    return int(name, 0) if name[0].isdigit() else (V4_TYPES if version == 4 else V6_TYPES).get(name)


def code_number(of_type: str, name: str, version: int) -> int | None:
    """The number of a code of the type named `of_type`; None when there is no such code."""
    if name[0].isdigit():
        return int(name, 0)
    return (V4_CODES if version == 4 else V6_CODES).get(_ALIASES.get(of_type, of_type), {}).get(name)


def names(type_: int, code: int, version: int) -> tuple[str, str]:
    """The names of a type and a code on the wire, digits where they have none."""
    kind = next((n for n, v in (V4_TYPES if version == 4 else V6_TYPES).items() if v == type_), str(type_))
    codes = (V4_CODES if version == 4 else V6_CODES).get(kind, {})
    return kind, next((n for n, v in codes.items() if v == code), str(code))
