"""Where samples come from. Knows `core`, `api` and `engine.ports`."""
