"""A model behind Ray Serve, on a node of its own: `server.py PORT METRICS_PORT DIRECTORY`."""

import asyncio
import signal
import sys

import ray
from fastapi import FastAPI, HTTPException
from ray import serve

app = FastAPI()


@serve.deployment(ray_actor_options={"num_cpus": 0})
@serve.ingress(app)
class Fraud:
    """Answers as the request says."""

    @app.post("/score")
    async def score(self, row: dict[str, float]) -> dict[str, float]:
        """Answer after `delay` seconds, with an error if `fail` is above 0."""
        await asyncio.sleep(row["delay"])
        if row["fail"]:
            raise HTTPException(500, "told to fail")
        return {"score": 0.5}


def main(port: int, metrics_port: int, directory: str) -> None:
    """Serve until told to end. The node's agent exports what the replicas and the proxy count, once a second."""
    told_to_end = {signal.SIGTERM, signal.SIGINT}
    ray.init(
        num_cpus=2,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _metrics_export_port=metrics_port,
        _temp_dir=directory,
        _system_config={"metrics_report_interval_ms": 1000},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Fraud.bind(), name="fraud", route_prefix="/")
    signal.sigwait(told_to_end)
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
