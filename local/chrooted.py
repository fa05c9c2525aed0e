"""Runs one program in a root directory of its own: `chrooted.py ROOT PROGRAM [ARGUMENT…]`, as root or without.

For a program that insists on fixed paths. Nothing is mounted and the machine's own root stays as it is; the program
has to be linked statically, because there are no libraries in there.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000


def main() -> None:
    """Become the program, with ROOT as /."""
    root, program, *arguments = sys.argv[1:]
    handle = os.open(program, os.O_RDONLY)  # its path means nothing in there
    try:
        os.chroot(root)
    except PermissionError:
        _enter_user_namespace()
        os.chroot(root)
    os.chdir("/")
    os.execve(handle, [program, *arguments], os.environ)


def _enter_user_namespace() -> None:
    """Move into a user namespace in which the user keeps its own number, and may change its root until it executes."""
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER):
        code = ctypes.get_errno()
        raise OSError(code, f"no user namespace: {os.strerror(code)}")
    # Groups must be given up before the group map may be written without privileges.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


if __name__ == "__main__":
    main()
