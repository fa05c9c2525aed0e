"""Every preset by its name."""

from collections.abc import Mapping
from types import MappingProxyType

from modelrollout.metrics.servers import gateways, llm, models
from modelrollout.metrics.servers.exports import Preset

_ALL = (
    gateways.TRAEFIK,
    gateways.ENVOY,
    gateways.ISTIO,
    gateways.KNATIVE,
    models.KSERVE,
    models.MLSERVER,
    models.SELDON_V2,
    models.TRITON,
    models.TORCHSERVE,
    models.BENTOML,
    models.RAY_SERVE,
    models.FASTAPI,
    llm.VLLM,
    llm.SGLANG,
    llm.TGI,
    llm.NIM,
    llm.DYNAMO,
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
