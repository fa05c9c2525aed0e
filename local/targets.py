"""What is built, from which package, with which flags."""

from dataclasses import dataclass, field

_MAJOR, _MINOR, _PATCH = 1, 36, 3
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Target:
    """One pinned go.mod under `local/tools` and the programs that come from it."""

    name: str
    packages: dict[str, str]
    """Program name to import path."""
    tags: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    """Strings set at link time."""
    folder: str = ""
    """Where its go.mod is, below `local/tools`; its own name when empty."""

    def flags(self) -> list[str]:
        """Return the flags of `go build` for this target."""
        settings = "".join(f" -X {name}={value}" for name, value in self.variables.items())
        tags = ["-tags", self.tags] if self.tags else []
        return ["-mod=readonly", "-trimpath", "-buildvcs=false", *tags, "-ldflags", f"-s -w{settings}"]


TARGETS = {
    target.name: target
    for target in (
        Target(
            "kube",
            {
                "etcd": "go.etcd.io/etcd/server/v3",
                "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
                "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
                "kubectl": "k8s.io/kubernetes/cmd/kubectl",
            },
            # Without these the server calls itself v0.0.0-master, and clients that compare versions go wrong.
            variables={
                f"{_VERSION}.gitVersion": f"v{_MAJOR}.{_MINOR}.{_PATCH}",
                f"{_VERSION}.gitMajor": str(_MAJOR),
                f"{_VERSION}.gitMinor": str(_MINOR),
            },
        ),
        # Static, file and http discovery stay; the rest is two thirds of the build.
        Target("prometheus", {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"}, tags="remove_all_sd"),
        # Apart from it, so that the demo does not wait for what only tests of alerts need.
        Target(
            "promtool",
            {"promtool": "github.com/prometheus/prometheus/cmd/promtool"},
            tags="remove_all_sd",
            folder="prometheus",
        ),
        Target("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}),
        Target("kubeconform", {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}),
        Target(
            "envoy-gateway",
            {"envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway"},
            # Two listeners on every address that no option names: *:8080 would clash with each model server.
            variables={
                "sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress": "0",
                "github.com/envoyproxy/gateway/internal/provider/kubernetes.healthProbeBindAddress": "127.0.0.1:8081",
            },
        ),
    )
}


@dataclass(frozen=True)
class Definitions:
    """Manifests inside a Go module, pinned by version and by the module's checksum."""

    name: str
    module: str
    checksum: str
    pattern: str
    """Glob under the module's root."""
    kind: str = "CustomResourceDefinition"
    """What of the files is taken."""


GATEWAY_API = Definitions(
    "gateway-api",
    "sigs.k8s.io/gateway-api@v1.6.3",
    "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
    "config/crd/standard/gateway.networking*.yaml",
)
TRAEFIK = Definitions(
    "traefik",
    "github.com/traefik/traefik/v3@v3.7.13",
    "h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw=",
    "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
)
TRAEFIK_ROLES = Definitions(
    "traefik-roles",
    TRAEFIK.module,
    TRAEFIK.checksum,
    "docs/content/reference/dynamic-configuration/kubernetes-[cg]*-rbac.yml",
    kind="ClusterRole",
)
ENVOY_GATEWAY = Definitions(
    "envoy-gateway",
    "github.com/envoyproxy/gateway@v1.9.1",
    "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
    # The one kind that is used here; it goes without the others.
    "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_envoyproxies.yaml",
)
PROMETHEUS_OPERATOR = Definitions(
    "prometheus-operator",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
)
