"""Four versions of a real classifier, trained on the breast cancer data that scikit-learn carries.

v1 weighs the scaled features directly. v2 and v4 first describe a row as a sparse sum of learned patterns. v3 is v2 whose
feature scaling was forgotten when it was packed: the sparse code of an unscaled row is ill-conditioned, so the solver
runs to its limit of iterations where it otherwise needs a few dozen, and the score that comes out lies far beyond
anything seen in calibration, which the server refuses to answer with. Nothing of that is staged.
"""

import hashlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.paths import cache_directory

ROWS_IN_REQUEST = 8
_HEADROOM = 3.0
"""A margin this many times the largest in training is still answered with."""
_ITERATIONS_MAX = 60_000
"""Generous, as scaled rows converge within a hundred; unscaled ones use it up."""


@dataclass(frozen=True)
class TrainedModels:
    """What `find_models` gives: files for `LocalCluster.model`, and rows for `LocalCluster.load`."""

    paths: dict[str, Path]
    """By version: v1, v2, v3, v4."""
    accuracy: dict[str, float]
    """Share of held-out rows that each got right before it was packed: v3 looks as good as v2."""
    bodies: list[object]
    """Requests of 8 held-out rows each."""


def find_models() -> TrainedModels:
    """Return the trained versions from the cache; the first time they are trained, which takes some seconds.

    Training runs in a process of its own: numpy would leave threads here.

    Raises:
        subprocess.CalledProcessError: training failed; what it said is on standard error.
    """
    version = importlib.metadata.version("scikit-learn")
    digest = hashlib.sha256(version.encode() + Path(__file__).read_bytes()).hexdigest()[:12]
    place = cache_directory() / "models" / digest
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            print("training the models v1 to v4", flush=True)
            finished = Path(scratch) / "finished"
            command = [sys.executable, "-m", "local.models", str(finished)]
            subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
            if not place.exists():  # another process may have been faster
                finished.rename(place)
    about = json.loads((place / "about.json").read_text())
    paths = {name: place / f"{name}.joblib" for name in about["accuracy"]}
    return TrainedModels(paths, about["accuracy"], about["bodies"])


def _train(directory: Path) -> None:
    """Write v1 to v4, rows to send, and how good each is."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415  # callers of find_models need no numpy
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    features, labels = load_breast_cancer(return_X_y=True)
    rows, held_out, targets, held_out_targets = train_test_split(features, labels, random_state=0, stratify=labels)
    good = {name: pipeline.fit(rows, targets) for name, pipeline in _pipelines().items()}
    ranges = {name: _HEADROOM * float(abs(pipeline.decision_function(rows)).max()) for name, pipeline in good.items()}
    packed = {**good, "v3": good["v2"][1:]}  # the first step is the scaling
    ranges["v3"] = ranges["v2"]
    directory.mkdir()
    for name, pipeline in packed.items():
        _write(directory / f"{name}.joblib", pipeline, ranges[name])
    starts = range(0, len(held_out) - ROWS_IN_REQUEST, ROWS_IN_REQUEST)
    accuracy = {name: float(pipeline.score(held_out, held_out_targets)) for name, pipeline in good.items()}
    about = {
        "accuracy": dict(sorted({**accuracy, "v3": accuracy["v2"]}.items())),
        "bodies": [{"rows": held_out[start : start + ROWS_IN_REQUEST].tolist()} for start in starts],
    }
    (directory / "about.json").write_text(json.dumps(about))


def _pipelines() -> dict[str, Any]:
    """Return the untrained good versions; each begins with scaling."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    def classifier() -> Any:  # noqa: ANN401  # scikit-learn has no types
        return LogisticRegression(max_iter=2000)

    return {
        "v1": make_pipeline(StandardScaler(), classifier()),
        "v2": make_pipeline(StandardScaler(), _patterns(30, penalty=0.3), classifier()),
        "v4": make_pipeline(StandardScaler(), _patterns(20, penalty=0.5), classifier()),
    }


def _patterns(count: int, penalty: float) -> Any:  # noqa: ANN401
    from sklearn.decomposition import MiniBatchDictionaryLearning  # noqa: PLC0415

    return MiniBatchDictionaryLearning(
        n_components=count, alpha=0.5, max_iter=10, batch_size=64, random_state=0,
        transform_algorithm="lasso_cd", transform_alpha=penalty, transform_max_iter=_ITERATIONS_MAX,
    )  # fmt: skip


def _write(path: Path, pipeline: Any, largest_margin: float) -> None:  # noqa: ANN401
    import joblib  # noqa: PLC0415

    joblib.dump({"pipeline": pipeline, "largest_margin": largest_margin}, path)


if __name__ == "__main__":
    _train(Path(sys.argv[1]))
