"""The API server that a person's kubeconfig names, found as kubectl finds it."""

import os
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from modelrollout.cluster.failures import Caller
from modelrollout.cluster.server import ApiServer
from modelrollout.engine.ports import Unavailable

USUAL = "~/.kube/config"
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Home(NamedTuple):
    """An API server, and the namespace that counts where none is named."""

    server: ApiServer
    namespace: str


async def connect_as_user(
    kubeconfig: Path | None, context: str | None, *, caller: Caller, call_limit: timedelta
) -> Home:
    """Return where a person's commands go.

    That is what `kubeconfig` names, else $KUBECONFIG, else ~/.kube/config, else the pod we run in. Proxies of the
    environment are used, as kubectl does.

    Raises:
        Unavailable: none of them names a cluster, or not that context.
    """
    configuration = Configuration()
    # The loader joins several files as $KUBECONFIG names them.
    files = str(kubeconfig or os.environ.get("KUBECONFIG") or USUAL)
    try:
        if _is_there(files):
            loaded = await load_kube_config(
                config_file=files, context=context, client_configuration=configuration, persist_config=False
            )
            namespace = loaded.current_context["context"].get("namespace") or "default"
        elif kubeconfig or not os.environ.get("KUBERNETES_SERVICE_HOST"):
            raise Unavailable(
                f"no cluster is known, as there is no file {files}: name one with --kubeconfig or $KUBECONFIG"
                " (`kubectl config view` shows what kubectl uses)"
            )
        else:
            load_incluster_config(client_configuration=configuration)
            namespace = _own_namespace()
    except (ConfigException, OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        which = f"context {context!r} of {files}" if context else files
        raise Unavailable(
            f"{which} names no cluster that can be used ({error}): `kubectl config get-contexts` lists the contexts"
        ) from error
    client = ApiClient(configuration)
    return Home(ApiServer(client, call_limit=call_limit, caller=caller), namespace)


def _is_there(files: str) -> bool:
    # pathlib's own raises where a name is too long for any file.
    return any(os.path.isfile(Path(file).expanduser()) for file in files.split(os.pathsep) if file)  # noqa: PTH113


def _own_namespace() -> str:
    return _OWN_NAMESPACE.read_text("utf-8").strip()
