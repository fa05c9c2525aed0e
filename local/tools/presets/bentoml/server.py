"""A model behind BentoML: `bentoml serve server:Fraud --host 127.0.0.1 --port PORT`."""

import asyncio

import bentoml


@bentoml.service
class Fraud:
    """Answers as the request says."""

    @bentoml.api
    async def predict(self, delay: float, fail: float) -> dict[str, float]:
        """Answer after `delay` seconds, with an error if `fail` is above 0."""
        await asyncio.sleep(delay)
        if fail:
            raise RuntimeError("told to fail")
        return {"score": 0.5}
