"""The loop around the core: store, queue, workers. Knows `core` and `api`; the rest through `ports`."""
