"""A steady load of gRPC calls: `python -m local.grpc_load --target T --host H --method M --rate R --calls N --control A`.

Open loop, as `local.load_generator`, and GET /snapshot at the control address tells the same: its statuses are gRPC's,
0 for a call that succeeded.
"""

import argparse
import asyncio
import json
import signal
import time

import grpc

from local.http import Request, Response, serve
from local.load_generator import CONTROL_PORT, Seen

_WAIT_SECONDS = 15.0


class Caller:
    """Makes calls over one connection, as a gRPC client does."""

    def __init__(self, channel: grpc.aio.Channel, method: str) -> None:
        self._call = channel.unary_unary(method)
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen = Seen()

    async def run(self, calls_per_second: float, calls: int) -> None:
        """Make so many calls at a steady rate."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(calls):
            await asyncio.sleep(max(0.0, started + number / calls_per_second - loop.time()))
            self.seen.sent += 1
            task = asyncio.create_task(self._send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.gather(*self._tasks)

    async def _send(self) -> None:
        sent_at = time.time()
        call = self._call(b"", timeout=_WAIT_SECONDS)
        try:
            await call
            status = 0
        except grpc.aio.AioRpcError as error:
            status = error.code().value[0]
        served_by = dict(await call.initial_metadata() or ()).get("x-served-by", "nobody")
        self.seen.note(status, str(served_by), sent_at, time.time())


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.grpc_load")
    parser.add_argument("--target", required=True, help="host:port of the gateway")
    parser.add_argument("--host", required=True, help="the :authority that calls are made to")
    parser.add_argument("--method", required=True, help="/package.Service/Method")
    parser.add_argument("--rate", type=float, required=True, help="calls a second")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--control", required=True, help="the address to answer /snapshot on")
    options = parser.parse_args()
    channel = grpc.aio.insecure_channel(options.target, options=(("grpc.default_authority", options.host),))
    caller = Caller(channel, options.method)

    async def answer(_: Request) -> Response:
        return Response(body=json.dumps({"at": time.time(), **vars(caller.seen)}).encode())

    control = await serve(answer, options.control, CONTROL_PORT)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    running = asyncio.create_task(caller.run(options.rate, options.calls))
    await stopped.wait()
    running.cancel()
    control.close()
    await channel.close()


if __name__ == "__main__":
    asyncio.run(_main())
