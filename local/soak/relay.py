"""A TCP relay before the API server, as a process: SIGUSR1 cuts every connection, as a load balancer's restart does."""

import argparse
import asyncio
import signal


class Relay:
    """Copies bytes both ways until one side ends, or `cut`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        ends = {writer, far_writer}
        self._open |= ends
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.close()

    def cut(self) -> None:
        """End all connections at once, in the middle of whatever they carry."""
        for end in self._open:
            end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def _run(listen: tuple[str, int], target: tuple[str, int]) -> None:
    relay = Relay(*target)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, relay.cut)
    server = await asyncio.start_server(relay.serve, *listen)
    await server.serve_forever()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local.soak.relay")
    parser.add_argument("--listen", type=_address, required=True)
    parser.add_argument("--target", type=_address, required=True)
    given = parser.parse_args()
    asyncio.run(_run(given.listen, given.target))
