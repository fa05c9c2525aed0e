"""The command line for people and pipelines. It may do what its user may, knows kubeconfig, and is no part of the operator."""
