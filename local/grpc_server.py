"""A model server that speaks gRPC: `python -m local.grpc_server --version V --host H --port P --control-port C`.

Every unary method of every service answers its version, in the message and in the metadatum `x-served-by`. HTTP at the
control port: GET /-/requests says how many calls came, POST /-/behave makes it fail, GET /metrics is for Prometheus.
"""

import argparse
import asyncio
import json
import os
import signal
from collections import Counter

import grpc
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as CounterMetric

from local.http import Request, Response, serve
from local.model_server import Behaviour


class Server(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """All that one server holds."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._behaviour = Behaviour()
        self._received: Counter[str] = Counter()
        self._registry = CollectorRegistry()
        self._handled = CounterMetric("grpc_server_handled", "Calls answered", ["grpc_code"], registry=self._registry)
        for code in ("OK", "Internal"):
            self._handled.labels(code)  # a series that exists at 0 shows its first increase

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return what answers a call, of whichever method."""
        del handler_call_details
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        del message
        if self._behaviour.delay_seconds:
            await asyncio.sleep(self._behaviour.delay_seconds)
        is_error = self._behaviour.is_error_due()
        self._received["error" if is_error else "ok"] += 1
        self._handled.labels("Internal" if is_error else "OK").inc()
        await context.send_initial_metadata((("x-served-by", self._version),))
        if is_error:
            await context.abort(grpc.StatusCode.INTERNAL, "asked to fail")
        return self._version.encode()

    async def control(self, request: Request) -> Response:
        """Return the answer to whoever runs the server."""
        if request.path == "/metrics":
            return Response(body=generate_latest(self._registry), content_type="text/plain; version=0.0.4")
        if request.path == "/-/behave":
            wanted = json.loads(request.body)
            self._behaviour = Behaviour(float(wanted["error_share"]), float(wanted["delay_seconds"]))
        if request.path == "/-/healthy":
            return Response(body=json.dumps({"version": self._version}).encode())
        return Response(body=json.dumps(self._received).encode())


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.grpc_server")
    parser.add_argument("--version", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    options = parser.parse_args()
    handler = Server(options.version)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"{options.host}:{options.port}")
    await server.start()
    control = await serve(handler.control, options.host, options.control_port)
    print(f"{options.version} serves on {options.host}:{options.port}", flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    control.close()
    os._exit(0)  # calls under way would hold the interpreter's end up


if __name__ == "__main__":
    asyncio.run(_main())
