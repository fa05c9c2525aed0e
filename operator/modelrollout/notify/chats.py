"""Chats, pagers and mailboxes by way of Apprise, whose calls block: each goes out in a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable

import apprise

from modelrollout.core.notices import Level, Notice, Told
from modelrollout.notify.config import AppriseTarget
from modelrollout.notify.senders import Failed, address_of

_KINDS = {
    Level.INFO: apprise.NotifyType.INFO,
    Level.WARNING: apprise.NotifyType.WARNING,
    Level.CRITICAL: apprise.NotifyType.FAILURE,
}


def warm_up() -> None:
    """Load Apprise's hundred and more modules now, before anything is urgent: they keep the interpreter busy for a second."""
    # It logs addresses' parts when a message fails; what failed is said here without them.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    apprise.Apprise.instantiate("json://127.0.0.1")


class ChatSender:
    """Tells one chat. A try that takes too long goes on in its thread: the next one waits for how it ends.

    So the chat is not told twice, and no more than one thread ever hangs.
    """

    def __init__(self, texts: Callable[[Told], tuple[str, str]], config: AppriseTarget) -> None:
        self._texts = texts
        self._config = config
        self._under_way: tuple[str, asyncio.Future[None]] | None = None

    async def send(self, told: Told) -> None:
        """Tell it.

        Raises:
            Failed: it cannot be told now, or at all.
        """
        if self._under_way is not None:
            known, future = self._under_way
            await asyncio.wait({future})
            self._under_way = None
            if known == told.id and future.exception() is None:
                return
        title, text = self._texts(told)
        level = told.level if isinstance(told, Notice) else Level.INFO
        future = _in_a_thread(lambda: self._notify(title, text, level))
        self._under_way = told.id, future
        await asyncio.shield(future)
        self._under_way = None

    async def close(self) -> None:
        """Leave what hangs to its own time limits: its thread does not keep the process."""

    def _notify(self, title: str, text: str, level: Level) -> None:
        # No plugins, attachments or configuration from anywhere but the package itself.
        chat = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, secure_logging=True, http_redirects=False))
        if not chat.add(address_of(self._config)):
            raise Failed("its address is none that Apprise knows, or lacks something that it needs")
        if not chat.notify(title=title, body=text, notify_type=_KINDS[level], body_format=apprise.NotifyFormat.TEXT):
            raise Failed("it cannot be reached, or refuses the message")


def _in_a_thread(call: Callable[[], None]) -> asyncio.Future[None]:
    """Run a call in a thread that does not keep the process from ending, as the event loop's own do."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            call()
        except Failed as failed:
            error = failed
        except Exception as bug:  # noqa: BLE001 - of somebody else's code, with addresses in its text
            error = Failed(f"Apprise fails with {type(bug).__name__}")
        try:
            loop.call_soon_threadsafe(finish, error)
        except RuntimeError:
            return  # The loop has ended meanwhile.

    # Its outcome may come when nobody asks any more.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    threading.Thread(target=run, name="notification", daemon=True).start()
    return future
