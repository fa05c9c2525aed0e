"""The only layer that talks to the API server. Knows `core`, `api` and `engine.ports`."""
