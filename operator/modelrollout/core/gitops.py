"""Who took an adopted rule back, and which rule of theirs is missing that would have left it alone."""

from modelrollout.api.traffic import Traffic

PAGE = "docs/gitops-routes.md"
# The names under which they write, and what they lack; the page has it in full.
_ARGO = "its Application lacks ignoreDifferences for rule {rule}, with RespectIgnoreDifferences=true", "argo-cd"
_FLUX = "its Kustomization lacks spec.ignore for rule {rule}", "flux"
_HELM = "its HelmRelease lacks driftDetection.ignore for rule {rule}", "helm"
_KUBECTL = "the manifest that it applies still has backendRefs of rule {rule}", "kubectl"
_LACKS = {
    "argocd-controller": _ARGO,
    "argocd-application-controller": _ARGO,
    "kustomize-controller": _FLUX,
    "helm-controller": _HELM,
    "kubectl": _KUBECTL,
    "kubectl-client-side-apply": _KUBECTL,
}


def lacking(manager: str, traffic: Traffic) -> str:
    """Return in half a sentence what would have kept this writer from an adopted rule; empty where nobody knows.

    `manager` begins with the name that the API server noted.
    """
    adopt = traffic.gateway_route.adopt if traffic.gateway_route else None
    known = _LACKS.get(manager.partition(" ")[0])
    if adopt is None or known is None:
        return ""
    what, anchor = known
    return f"{what.format(rule=adopt.rule)} ({PAGE}#{anchor})"
