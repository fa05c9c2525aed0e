"""The first moments of the process."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.chart import TOP


def test_sigterm_ends_it_while_it_is_still_importing(tmp_path: Path):
    # As the first process of a container it would ignore the signal, until its imports are done, if nothing caught it.
    (tmp_path / "kopf.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    path = {"PYTHONPATH": f"{tmp_path}:{TOP / 'operator'}"}
    command = [sys.executable, "-m", "modelrollout"]

    with subprocess.Popen(command, env=path, stdout=subprocess.PIPE, text=True) as operator:
        assert operator.stdout
        assert operator.stdout.readline() == "importing\n"
        operator.send_signal(signal.SIGTERM)
        code = operator.wait(timeout=30)

    assert code == 0
