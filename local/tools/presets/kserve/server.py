"""A model behind KServe's Python server: `server.py --http_port PORT --enable_grpc false`."""

import asyncio
from typing import Any

from kserve import Model, ModelServer


class Told(Model):
    """Answers after the row's first number in seconds, with an error if its second is above 0."""

    def __init__(self) -> None:
        super().__init__("fraud")
        self.ready = True

    async def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """Return a score."""
        ((delay, fail),) = payload["instances"]
        await asyncio.sleep(delay)
        if fail:
            raise RuntimeError("told to fail")
        return {"predictions": [0.5]}


if __name__ == "__main__":
    ModelServer(workers=1).start([Told()])
