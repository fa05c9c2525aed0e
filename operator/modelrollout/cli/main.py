"""`kubectl-modelrollout` and `modelrollout`: two names of one program."""

import sys
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("click", "jinja2", "rich", "yaml")


def main() -> int:
    """Run the command line; return the exit code."""
    if not _has_all():
        return 3
    from modelrollout.cli.commands import modelrollout  # noqa: PLC0415  # needs what was just looked for

    is_plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    return modelrollout.main(prog_name="kubectl modelrollout" if is_plugin else "modelrollout")


def complete() -> int:
    """Answer kubectl, which asks what may come next on its command line; return the exit code."""
    if not _has_all():
        return 3
    from modelrollout.cli.completion import complete_for_kubectl  # noqa: PLC0415

    return complete_for_kubectl()


def _has_all() -> bool:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        listed = " and ".join(missing)
        sys.stderr.write(f"modelrollout: {listed} is not installed: pip install 'modelrollout[cli]' brings it\n")
    return not missing


if __name__ == "__main__":
    sys.exit(main())
