"""What can go wrong on the host's side, said in one line."""

import errno


class HostError(Exception):
    """One line: what is wrong, and what to do about it."""


def explain(what: str, error: Exception) -> HostError:
    """A HostError for an OSError or a pyroute2 NetlinkError that `what` ended in."""
    code = getattr(error, "code", None) or getattr(error, "errno", None)
    if code in (errno.EPERM, errno.EACCES):
        return HostError(f"{what}: not permitted (run it with sudo, or without root: unshare -Urn netstack up)")
    reason = getattr(error, "strerror", None) or (error.args[-1] if error.args else type(error).__name__)
    return HostError(f"{what}: {reason}")
