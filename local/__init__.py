"""A real Kubernetes control plane, gateway, Prometheus and models as plain processes, for the demo and the tests.

Knows nothing of the operator: it starts programs, and anything may be started beside them.
"""
