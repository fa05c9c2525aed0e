"""`/healthz`, `/readyz` and `/metrics`."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Complaint = Callable[[], str | None]
"""Says what is wrong, `None` when nothing is."""


async def serve(
    address: str, *, registry: CollectorRegistry, not_ready: Complaint, unhealthy: Complaint
) -> web.AppRunner:
    """Return a running server at `host:port`; close it with `cleanup`.

    That `/healthz` is answered at all shows that the event loop, on which everything runs, is not blocked.

    Raises:
        OSError: the address is taken or not ours.
    """

    async def healthz(_: web.Request) -> web.Response:
        return _answer(unhealthy())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(not_ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
    return runner


def _answer(complaint: str | None) -> web.Response:
    return web.Response(text=f"{complaint or 'ok'}\n", status=503 if complaint else 200)
