"""A model behind MLServer: `mlserver start .` in this folder, ports by MLSERVER_HTTP_PORT and its like."""

import asyncio

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Told(MLModel):
    """Answers after the row's first number in seconds, with an error if its second is above 0."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return a score."""
        row = NumpyCodec.decode_input(payload.inputs[0])
        delay, fail = row.flatten()
        await asyncio.sleep(delay)
        if fail:
            raise RuntimeError("told to fail")
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("score", row[:, :1])])
