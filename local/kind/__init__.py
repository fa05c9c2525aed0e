"""`make kind`: the operator's image in a cluster of kind's, with Traefik, Prometheus and a demo, for people with Docker."""
