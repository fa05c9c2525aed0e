"""A Kubernetes operator that moves live traffic from one model version to the next, and back."""

__version__ = "0.1.0"
