"""The versions of a model: where they run, what they are made of."""

from typing import Literal

from pydantic import Field

from modelrollout.api.fields import Link, Model, Name, ObjectName, Text, Version


class ServiceRef(Model):
    """A Service in the rollout's own namespace, and its port."""

    name: Name = Field(
        description="Service in the same namespace that has this version's pods, and no other's, behind it."
    )
    port: int = Field(ge=1, le=65535, description="Port of the Service (not of the pod).")


class Workload(Model):
    """The Deployment or StatefulSet that runs a version; read, never written."""

    api_version: Literal["apps/v1"] = Field("apps/v1", description="API of the workload.")
    kind: Literal["Deployment", "StatefulSet"] = Field(description="Kind of the workload.")
    name: ObjectName = Field(description="Name of the workload, in the same namespace.")


class Artifact(Model):
    """Where a version comes from: its lineage. Part of the version's identity."""

    uri: Link | None = Field(None, description="Where the model's files are.")
    digest: Text | None = Field(None, description="Digest of the model's files, such as sha256:…")
    training_data: Link | None = Field(None, description="The data that the model was trained on.")
    evaluation: Link | None = Field(None, description="The offline evaluation that spoke for this version.")


class ModelVersion(Model):
    """One version of the model, running behind a Service of its own."""

    version: Version = Field(description="Name of the version, as people speak of it.")
    service: ServiceRef = Field(description="The Service that serves this version.")
    workload: Workload | None = Field(
        None,
        description="The workload that runs it: no weight is given before all its replicas are up to date and available.",
    )
    artifact: Artifact | None = Field(None, description="Lineage of the version.")
