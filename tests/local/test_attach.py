"""What a kubelet would do for Envoy Gateway's proxy, done to its Deployment."""

from pathlib import Path

from local.attach import available, envoy_arguments

DEPLOYMENT = {
    "metadata": {"name": "envoy-1", "namespace": "system", "generation": 3},
    "spec": {
        "replicas": 1,
        "template": {
            "spec": {
                "containers": [
                    {"name": "shutdown-manager"},
                    {
                        "name": "envoy",
                        "env": [{"name": "ENVOY_POD_NAME", "valueFrom": {}}, {"name": "LEVEL", "value": "warn"}],
                        "args": [
                            "--service-node $(ENVOY_POD_NAME)",
                            "--log-level $(LEVEL)",
                            "--config-yaml at: envoy-gateway.system.svc.cluster.local., ca: /sds/ca.json",
                        ],
                    },
                ]
            }
        },
    },
}


def test_the_containers_arguments_are_made_to_fit_a_process_beside_the_control_plane(tmp_path: Path) -> None:
    arguments = envoy_arguments(
        DEPLOYMENT,
        {"ca.json": '{"file": "/certs/ca.crt"}'},
        control_plane="127.0.0.1",
        certificates=tmp_path / "mine",
        sds=tmp_path / "sds",
    )

    assert arguments == [
        "--service-node envoy-1-0",
        "--log-level warn",
        f"--config-yaml at: 127.0.0.1, ca: {tmp_path}/sds/ca.json",
        "--disable-hot-restart",
    ]
    assert (tmp_path / "sds/ca.json").read_text() == f'{{"file": "{tmp_path}/mine/ca.crt"}}'


def test_the_deployment_is_available_at_the_generation_that_was_started() -> None:
    status = available(DEPLOYMENT)["status"]

    assert (status["availableReplicas"], status["observedGeneration"]) == (1, 3)
    assert [condition["type"] for condition in status["conditions"]] == ["Available"]
