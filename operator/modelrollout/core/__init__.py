"""The pure core: plans, statistics, gates, decisions and their projection. Knows `api` only; does no I/O."""
