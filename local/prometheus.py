"""Prometheus, scraping once a second what it is told about in files."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import yaml

from local.namespace import PREFIX
from local.process import Process, Processes, wait_until

_ADDRESS = f"{PREFIX}.2.2:9090"


class Prometheus:
    """One Prometheus whose data outlive `stop` and `start`."""

    url = f"http://{_ADDRESS}"

    def __init__(self, processes: Processes, data: Path) -> None:
        self._processes = processes
        self._data = data / "prometheus"
        self._targets = self._data / "targets"
        self.process: Process | None = None

    def launch(self, program: Path) -> None:
        """Start it for the first time; `wait` says when it answers."""
        self._targets.mkdir(parents=True)
        config = self._data / "prometheus.yaml"
        config.write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            # `job` comes from each target's labels.
            "scrape_configs": [{"job_name": "files", "file_sd_configs": [{"files": [f"{self._targets}/*.json"]}]}],
        }))  # fmt: skip
        self.process = self._processes.spawn("prometheus", [
            program, f"--config.file={config}", f"--storage.tsdb.path={self._data / 'tsdb'}",
            "--storage.tsdb.retention.time=6h", f"--web.listen-address={_ADDRESS}", "--log.level=warn",
            # Hidden; its default of 5 s would make every new target wait that long for its first sample.
            "--scrape.discovery-reload-interval=100ms",
        ])  # fmt: skip

    def wait(self) -> None:
        """Return once it answers queries."""
        wait_until(lambda: urlopen(f"{self.url}/-/ready", timeout=2), "Prometheus is ready", process=self.process)

    def stop(self) -> None:
        """Stop it; nothing listens at its address then."""
        assert self.process
        self.process.stop()

    def start(self) -> None:
        """Start it again with the data that it had, and wait until it answers."""
        assert self.process
        self.process.start()
        self.wait()

    def add_target(self, job: str, address: str, labels: Mapping[str, str]) -> None:
        """Have `address` (host:port) scraped at /metrics, each sample with `labels` and the label `job`."""
        name = re.sub(r"[^a-zA-Z0-9.-]", "_", f"{job}-{address}")
        scratch = self._targets / f"{name}.new"
        scratch.write_text(json.dumps([{"targets": [address], "labels": {"job": job, **labels}}]))
        scratch.replace(self._targets / f"{name}.json")

    def remove_target(self, job: str, address: str) -> None:
        """Stop scraping a target; one that is not scraped is fine."""
        name = re.sub(r"[^a-zA-Z0-9.-]", "_", f"{job}-{address}")
        (self._targets / f"{name}.json").unlink(missing_ok=True)
