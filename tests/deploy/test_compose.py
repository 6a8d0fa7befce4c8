"""docker-compose.yml keeps its promises, judged without an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.configuration import OTHERS, Configuration
from tests.deploy.made import make_env

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
#: a step, which ends
STEPS = {"migrate"}
SECRET = re.compile(r"PASSWORD|TOKEN|KEY|SECRET")

every_service = pytest.mark.parametrize("name", SERVICES)


def plain(name: str) -> bool:
    """Whether the service starts without a profile."""
    return "profiles" not in SERVICES[name]


def test_the_promised_services_are_there() -> None:
    wanted = {"postgres", "redis", "ray-head", "ray-worker", "api", "dispatcher", "migrate"}
    assert {name for name in SERVICES if plain(name)} == wanted
    assert {p for s in SERVICES.values() for p in s.get("profiles", ())} == {"gpu", "observe"}


def test_only_the_api_is_reached_from_outside_and_only_from_this_machine_unless_told() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert {name for name in published if plain(name)} == {"api"}
    for ports in published.values():
        assert all(re.match(r"\$\{\w+_BIND:-127\.0\.0\.1\}:", port) for port in ports)
    assert not any("network_mode" in service for service in SERVICES.values())


def test_every_secret_is_asked_for_by_name_and_none_has_a_default() -> None:
    used = re.findall(r"(?<!\$)\$\{(\w+)(:?[-?+][^}]*)?\}", TEXT)
    secrets = {(name, rule) for name, rule in used if SECRET.search(name)}
    assert {name for name, _ in secrets} == set(make_env.DRAWN)
    assert {rule for _, rule in secrets} == {":?run make up, which writes .env"}


def test_the_database_redis_and_ray_stand_in_networks_that_lead_nowhere() -> None:
    inside = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    assert inside == {"data", "ray", "watch"}
    for name in ("postgres", "redis", "migrate"):
        assert SERVICES[name]["networks"] == ["data"]
    for name in ("ray-head", "ray-worker", "ray-worker-gpu"):
        assert SERVICES[name]["networks"] == ["ray"]
    members = {name for name, service in SERVICES.items() if "ray" in service["networks"]}
    assert members == {"ray-head", "ray-worker", "ray-worker-gpu", "dispatcher"}


@every_service
def test_a_service_is_limited_and_watched_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    if name in STEPS:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@every_service
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service or name == "postgres"
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))


@every_service
def test_an_image_is_pinned_or_built_here(name: str) -> None:
    image = SERVICES[name]["image"]
    if image.startswith("seedbed-"):
        assert SERVICES[name]["pull_policy"] == "never"
        built = {s["image"] for s in SERVICES.values() if "build" in s}
        assert image in built
    else:
        assert re.fullmatch(r"[a-z/]+:v?\d+(\.\d+){0,2}", image)


def test_what_the_service_starts_with_waits_for_the_schema() -> None:
    for name in ("api", "dispatcher"):
        needed = SERVICES[name]["depends_on"]
        assert needed["migrate"] == {"condition": "service_completed_successfully"}
        assert SERVICES[name]["environment"]["SEEDBED_STORAGE_URL"].endswith("file:///storage}")
    for name in ("api", "dispatcher", "ray-worker", "ray-worker-gpu"):
        assert SERVICES[name]["volumes"] == ["storage:/storage"]


@every_service
def test_variables_are_options_that_there_are(name: str) -> None:
    """The service refuses to start under a variable that it does not know."""
    known = {f"SEEDBED_{option.upper()}" for option in Configuration.model_fields} | OTHERS
    given = SERVICES[name].get("environment", {})
    assert {variable for variable in given if variable.startswith("SEEDBED_")} <= known
