"""A network of one's own: the calling process moves into a fresh network namespace, as root or without.

Everything it starts afterwards lives there too, so that fixed ports are always free, nothing is reachable from
outside, and two copies run side by side.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

PREFIX = "10.244"
"""All of PREFIX.0.0/16 is local to the namespace: any address in it can be listened on without further ado."""

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
_IFF_UP = 0x1


class NamespaceRefused(Exception):
    """This process cannot move into a namespace; the message says what to do."""


@dataclass(frozen=True)
class Namespace:
    """Proof that this process is in a network namespace of its own."""

    identity: int
    """The inode of the network namespace."""
    has_user_namespace: bool
    """Whether a user namespace was needed as well."""

    def enter_command(self) -> str:
        """Return the command that, with another behind it, runs that one in here; for this user, from any terminal."""
        user = " --user --preserve-credentials" if self.has_user_namespace else ""
        return f"nsenter --target {os.getpid()} --net{user}"


def enter_namespace() -> Namespace:
    """Move this process into a fresh network namespace with loopback and 10.244.0.0/16 up; there is no way back.

    Without root, into a user namespace as well, in which the user keeps its own number.

    Raises:
        NamespaceRefused: other threads run, which would stay behind, or the kernel does not allow it.
    """
    if sys.platform != "linux":
        raise NamespaceRefused("the local stack needs Linux: its parts live in one network namespace")
    if others := [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]:
        raise NamespaceRefused(
            f"{len(others)} other thread(s) run ({', '.join(others)}) and would stay behind in the old network: "
            "enter the local cluster before any thread is started"
        )
    user, group = os.getuid(), os.getgid()
    if user == 0 and _unshare(_CLONE_NEWNET):
        return _settle(has_user_namespace=False)
    tasks = len(list(Path("/proc/self/task").iterdir()))
    if tasks > 1:
        raise NamespaceRefused(
            f"without root this needs a process of one thread, and this one has {tasks}: enter the local cluster "
            "before numpy is imported, or with OPENBLAS_NUM_THREADS=1"
        )
    if not _unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        raise NamespaceRefused(
            "the kernel allows neither a network namespace nor a user namespace here: run as root, or allow user "
            "namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container, --cap-add SYS_ADMIN)"
        )
    # Groups must be given up before the group map may be written without privileges.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return _settle(has_user_namespace=True)


def _settle(*, has_user_namespace: bool) -> Namespace:
    _set_up_addresses()
    # A proxy of the old network cannot be reached from here; Python, Go and curl all understand this.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    return Namespace(Path("/proc/self/ns/net").stat().st_ino, has_user_namespace)


def _unshare(flags: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.EPERM, errno.EINVAL, errno.ENOSPC, errno.EUSERS, errno.ENOSYS}:
        return False
    raise OSError(code, os.strerror(code))


def _set_up_addresses() -> None:
    """Bring loopback up and give it PREFIX.0.1/16.

    A prefix on loopback is local as a whole, as 127.0.0.0/8 is, so no address needs to be added one by one.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
        for call, address in ((_SIOCSIFADDR, f"{PREFIX}.0.1"), (_SIOCSIFNETMASK, "255.255.0.0")):
            packed = struct.pack("16sHH4s8x", b"lo:local", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, call, packed)
