"""One driver a router. Knows `core`, `api` and `engine.ports`."""
