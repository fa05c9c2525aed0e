"""Build the operator's image with what the machine has: docker, podman or buildah.

Without a registry there is no Python image to start from: `--base debian` makes one from Debian's packages (needs
buildah and mmdebstrap; apt-get installs both).
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from modelrollout import __version__

TOP = Path(__file__).parents[2]
IMAGE = f"localhost/modelrollout-operator:{__version__}"
DEBIAN_BASE = "localhost/modelrollout-base:debian"
_SUITE = "bookworm"  # the Debian of the Dockerfile's own base, with the Python that the tests run on
_PACKAGES = "python3-venv,ca-certificates,netbase,tzdata"
_LEFT_OUT = ("man", "locale", "doc", "info")


class CannotBuild(Exception):
    """Something that the build needs is missing; the message says what to do."""


def find_builder() -> str:
    """Return the first of docker, podman and buildah that answers: a docker without its daemon does not.

    Raises:
        CannotBuild: none does.
    """
    for name in ("docker", "podman", "buildah"):
        if shutil.which(name) and not subprocess.run([name, "info"], capture_output=True, check=False).returncode:
            return name
    raise CannotBuild("docker, podman or buildah is needed (Debian: apt-get install --no-install-recommends buildah)")


def build(builder: str, base: str | None, extra: Sequence[str]) -> None:
    """Build the image; `extra` are more arguments of the builder's `build`."""
    if base == "debian":
        make_debian_base(builder)
        base = DEBIAN_BASE
    command = [builder, "build", "--tag", IMAGE, "--build-arg", f"VERSION={__version__}", *extra]
    if base:
        command += ["--build-arg", f"BASE={base}"]
    if builder == "buildah":
        command += ["--isolation", "chroot"]  # works without an OCI runtime, and inside a container
    subprocess.run([*command, str(TOP)], check=True)


def make_debian_base(builder: str) -> None:
    """Make a small Debian with Python into an image, unless there is one.

    Raises:
        CannotBuild: buildah or mmdebstrap is missing.
    """
    if builder != "buildah" or not shutil.which("mmdebstrap"):
        raise CannotBuild("a base of Debian packages is made by buildah and mmdebstrap: apt-get install both")
    if not subprocess.run(["buildah", "inspect", DEBIAN_BASE], capture_output=True, check=False).returncode:
        return
    with tempfile.TemporaryDirectory() as directory:
        files = f"{directory}/base.tar"
        without = [f"--dpkgopt=path-exclude=/usr/share/{one}/*" for one in _LEFT_OUT]
        licences = "--dpkgopt=path-include=/usr/share/doc/*/copyright"
        include = f"--include={_PACKAGES}"
        subprocess.run(
            ["mmdebstrap", "--variant=essential", include, *without, licences, _SUITE, files], check=True
        )  # fmt: skip
        container = _output("buildah", "from", "scratch")
        _output("buildah", "add", "--quiet", container, files, "/")
        _output("buildah", "commit", "--quiet", "--rm", container, DEBIAN_BASE)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> int:
    """Build as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the operator's image.")
    parser.add_argument("--base", help="image to start from in place of the Dockerfile's; debian: made from packages")
    parser.add_argument("extra", nargs="*", help="after --: more arguments of the builder's build command")
    given = parser.parse_args()
    try:
        build(find_builder(), given.base, given.extra)
    except CannotBuild as error:
        print(f"no image: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    print(IMAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
