"""Any two counters of the user's own as all events of one version and the bad ones among them."""

from modelrollout.api.kinds import Ratio
from modelrollout.api.metrics import Metrics, VersionLabel
from modelrollout.core.evidence import Track
from modelrollout.metrics.counting import Errors
from modelrollout.metrics.presets import selector_of


def ratio_of(ratio: Ratio, version: str, metrics: Metrics, track: Track, namespace_label: str | None) -> Errors:
    """Return how a ratio's events are counted; `version` is candidate or baseline.

    Raises:
        ValueError: no label tells the versions apart, or a metric or label has no Prometheus name.
    """
    label = version_label_of(ratio.version_label, metrics)
    total, bad = (selector_of(series, label, track, namespace_label) for series in (ratio.total, ratio.bad))
    return Errors(version, total, bad, "bad events")


def version_label_of(own: VersionLabel | None, metrics: Metrics) -> VersionLabel:
    """Return the label by which a gate on series of the user's own tells the versions apart.

    Raises:
        ValueError: neither the gate nor spec.metrics names one.
    """
    label = own or (metrics.custom.version_label if metrics.custom else metrics.version_label)
    if label is None:
        raise ValueError("nothing says which label tells the versions apart: give the gate a versionLabel")
    return label
