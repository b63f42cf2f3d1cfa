"""Error numbers turned into the OSError that the socket module would raise, with the kernel's own words."""

import errno

_TEXTS = {
    errno.EAGAIN: "Resource temporarily unavailable",
    errno.EBADF: "Bad file descriptor",
    errno.EINVAL: "Invalid argument",
    errno.ENOENT: "No such file or directory",
    errno.EPIPE: "Broken pipe",
    errno.EPERM: "Operation not permitted",
    errno.EACCES: "Permission denied",
    errno.EPROTO: "Protocol error",
    errno.EMSGSIZE: "Message too long",
    errno.EDESTADDRREQ: "Destination address required",
    errno.ENOPROTOOPT: "Protocol not available",
    errno.EPROTONOSUPPORT: "Protocol not supported",
    errno.EOPNOTSUPP: "Operation not supported",
    errno.EADDRINUSE: "Address already in use",
    errno.EADDRNOTAVAIL: "Cannot assign requested address",
    errno.ENETDOWN: "Network is down",
    errno.ENETUNREACH: "Network is unreachable",
    errno.ECONNABORTED: "Software caused connection abort",
    errno.ECONNRESET: "Connection reset by peer",
    errno.ENOBUFS: "No buffer space available",
    errno.EISCONN: "Transport endpoint is already connected",
    errno.ENOTCONN: "Transport endpoint is not connected",
    errno.ETIMEDOUT: "Connection timed out",
    errno.ECONNREFUSED: "Connection refused",
    errno.EHOSTDOWN: "Host is down",
    errno.ENONET: "Machine is not on the network",
    errno.EHOSTUNREACH: "No route to host",
    errno.EALREADY: "Operation already in progress",
    errno.EINPROGRESS: "Operation now in progress",
}


def os_error(code: int, text: str = "") -> OSError:
    """The OSError of `code`: of the right subclass (ConnectionResetError, BlockingIOError, TimeoutError ...)."""
    return OSError(code, text or _TEXTS.get(code, f"Error {code}"))
