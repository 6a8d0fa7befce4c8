"""What can be submitted: experiments with their hyper-parameters, and presets."""

from typing import Any

from fastapi import APIRouter

from models.catalog import UnknownExperimentError, experiment, experiments
from models.experiment import Experiment
from service.api import shapes
from service.errors import ProblemError
from service.presets import UnknownPresetError, preset, presets

router = APIRouter(tags=["catalogue"])


@router.get("/experiments", responses={200: {"model": shapes.Experiments}})
def index() -> dict[str, Any]:
    """Every experiment."""
    return {"items": [experiment_json(e) for e in experiments().values()]}


@router.get("/experiments/{name}", responses={200: {"model": shapes.Experiment}})
def show(name: str) -> dict[str, Any]:
    """One experiment."""
    try:
        return experiment_json(experiment(name))
    except UnknownExperimentError as error:
        raise ProblemError(404, str(error), "GET /api/v1/experiments lists them") from error


def experiment_json(found: Experiment) -> dict[str, Any]:
    """Hyper-parameters with placement, type, default and rule; metrics at the defaults."""
    schema = found.settings.model_json_schema()
    settings = found.resolve({})
    described = ("placement", "description", "default", "title")
    return {
        "name": found.name,
        "description": found.description,
        "segment": found.segment(settings),
        "hyper_parameters": [
            {
                "name": name,
                "placement": found.placement(name),
                "default": field.get("default"),
                "doc": field.get("description", ""),
                "rule": {k: v for k, v in field.items() if k not in described},
            }
            for name, field in schema["properties"].items()
        ],
        "metrics": [vars(m) for m in found.metrics(settings)],
    }


@router.get("/presets", responses={200: {"model": shapes.Presets}})
def ready() -> dict[str, Any]:
    """Ready sweeps."""
    return {"items": [vars(p) for p in presets().values()]}


@router.get("/presets/{name:path}", responses={200: {"model": shapes.Preset}})
def ready_one(name: str) -> dict[str, Any]:
    """One ready sweep, with its spec."""
    try:
        return vars(preset(name))
    except UnknownPresetError as error:
        raise ProblemError(404, str(error), "GET /api/v1/presets lists them") from error
