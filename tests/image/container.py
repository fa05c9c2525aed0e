"""An image's own files and settings, run as a kubelet would: PID 1, another user, nothing writable but /tmp."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CREDENTIALS = "run/secrets/kubernetes.io/serviceaccount"
# The parent process cannot give its mounts to others: the namespaces are private, and gone with the container.
_START = f"""
set -e
root=$1 user=$2 credentials=$3; shift 3
mount --bind "$root" "$root"
mount -t tmpfs -o mode=0755 none "$root/run"
mount -t tmpfs -o mode=1777,size=16m none "$root/tmp"
mount -t proc none "$root/proc"
mkdir -p "$root/{_CREDENTIALS}"
if [ -n "$credentials" ]; then cp "$credentials"/* "$root/{_CREDENTIALS}"; chmod 644 "$root/{_CREDENTIALS}"/*; fi
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" "$root" "$@"
"""


def why_not() -> str | None:
    """Return why images cannot be tested here, or None."""
    if not os.environ.get("MODELROLLOUT_IMAGE_TESTS"):
        return "set MODELROLLOUT_IMAGE_TESTS=1 after `make image` to test the image"
    if not shutil.which("buildah") or os.getuid():
        return "buildah and root are needed to run an image's files without a container engine"
    return None


@dataclass(frozen=True)
class Image:
    """A built image whose files are mounted."""

    root: Path
    config: Mapping[str, Any]

    def command(
        self, *argv: str, environment: Mapping[str, str] | None = None, credentials: Path | None = None
    ) -> list[str]:
        """Return what runs `argv`, the image's entry point by default, as PID 1 with the image's user and environment.

        `credentials` is a directory with what a pod finds at its ServiceAccount's place.
        """
        given = (f"{name}={value}" for name, value in (environment or {}).items())
        inside = ["env", "-i", *self.config["Env"], *given, *(argv or self.config["Entrypoint"])]
        start = ["sh", "-c", _START, "sh", str(self.root), self.config["User"], str(credentials or ""), *inside]
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", *start]

    def run(self, *argv: str) -> str:
        """Return what `argv` prints inside."""
        return subprocess.run(self.command(*argv), check=True, capture_output=True, text=True, timeout=60).stdout


@contextmanager
def mounted(image: str) -> Iterator[Image]:
    """Yield an image with its files mounted."""
    config = json.loads(_buildah("inspect", "--type", "image", image))["OCIv1"]["config"]
    container = _buildah("from", "--pull-never", image)
    try:
        yield Image(Path(_buildah("mount", container)), config)
    finally:
        _buildah("rm", container)


def _buildah(*arguments: str) -> str:
    return subprocess.run(["buildah", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def first_process(unshare: int) -> int:
    """Return the process that is number 1 in the namespace that this `unshare` made."""
    return int(Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()[0])


def in_container(script: str) -> Sequence[str]:
    """Return the command line of a Python script inside."""
    return ["python", "-c", script]
