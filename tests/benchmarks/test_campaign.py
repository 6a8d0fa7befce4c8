"""A run of the bench: laws before numbers, refusals with their reasons, smokes of cheap rows."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from models.deep_mlp.program import DeepMlp
from tests.benchmarks import calibration, control, launch, law, occupancy, roof, throughput
from tests.benchmarks.__main__ import _public
from tests.benchmarks.baselines.workload import deep_mlp, neural_gpu
from tests.benchmarks.campaign import ENGINE, ROOF, SCALING, Campaign, searched
from tests.benchmarks.engine import Engine, LanesLostError
from tests.benchmarks.row import Row
from tests.benchmarks.size import QUICK

WORK = "deep_mlp, noise"


class Probes:
    """Stands for processes: answers at once, and remembers what was asked."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, measure: str, *, core: int | None = None, **arguments: Any) -> Any:
        self.asked.append((measure, arguments))
        if measure in self.answers:
            return self.answers[measure]
        if measure == "search":
            lanes = 1 if arguments["system"] == "plain loop" else 16
            return {"lanes": lanes, "rate": 320.0, "curve": {}, "options": {}}
        return {"refused": None} if measure in ("law", "alike") else {"rate": 1.0}


def campaign(probe: Any) -> Campaign:
    """A full run in every respect but its processes."""
    size = replace(QUICK, checked=True, seconds=1.0, workloads=(WORK,))
    return Campaign(size, "cpu", lambda _: None, probe)


def by_name(rows: list[Row]) -> dict[str, Row]:
    return {f"{row.group}: {row.name}": row for row in rows}


def test_every_row_is_measured_once_a_repeat_in_turn() -> None:
    probes = Probes()
    run = campaign(probes)
    rows = run.prepare()
    probes.asked.clear()
    run.repeat(rows)
    run.repeat(rows)
    assert [len(row.samples) for row in rows] == [2] * len(rows)
    measured = [measure for measure, _ in probes.asked]
    assert measured[: len(rows)] == measured[len(rows) :] == [row.measure for row in rows]


def test_an_engine_row_is_trained_for_the_wanted_time_at_its_best_width() -> None:
    row = by_name(campaign(Probes()).prepare())[f"{WORK}: {ENGINE}"]
    assert (row.arguments["lanes"], row.arguments["steps"]) == (16, 20)


def test_widths_of_an_earlier_run_are_not_searched_again_but_laws_are_judged() -> None:
    first = campaign(Probes()).prepare()
    for row in first:
        row.curve = {"16": 300.0, "1": 300.0} if row.measure == "throughput" else {}
    known = searched({"rows": [asdict(row) for row in first]})
    probes = Probes()
    run = campaign(probes)
    run.known = known
    rows = run.prepare()
    assert [row.arguments.get("lanes") for row in rows] == [
        row.arguments.get("lanes") for row in first
    ]
    asked = [measure for measure, _ in probes.asked]
    assert "search" not in asked
    assert {"law", "alike"} <= set(asked)


def test_a_row_whose_law_fails_is_refused_with_all_that_rests_on_it() -> None:
    probes = Probes(law={"refused": "its law fails: AssertionError: trial 3 differs"})
    run = campaign(probes)
    rows = run.prepare()
    run.repeat(rows)
    found = by_name(rows)
    assert found[f"{WORK}: {ENGINE}"].refused == "its law fails: AssertionError: trial 3 differs"
    assert found[f"{WORK}: {ENGINE}"].samples == []
    assert found[f"pack: {SCALING}"].refused
    assert found[f"{WORK}: plain loop"].samples


def test_a_baseline_that_trains_something_else_is_refused() -> None:
    rows = campaign(Probes(alike={"refused": "it does not train as the engine does"})).prepare()
    assert all(row.refused for row in rows if row.measure == "throughput" and row.name != ENGINE)


def test_a_row_whose_process_fails_is_refused_and_the_others_go_on() -> None:
    class Failing(Probes):
        def __call__(self, measure: str, **arguments: Any) -> Any:
            if measure == "roof":
                raise launch.ProbeFailedError("probe roof ended with 1: MemoryError")
            return super().__call__(measure, **arguments)

    run = campaign(Failing())
    rows = run.prepare()
    run.repeat(rows)
    found = by_name(rows)
    assert found[f"{ROOF}: {WORK}"].refused == "probe roof ended with 1: MemoryError"
    assert found["whole sweep: Ray Tune"].samples


def test_the_law_of_a_sound_engine_refuses_nothing() -> None:
    assert law.refusal(deep_mlp().but(depth=3), [3]) is None
    assert law.refusal(neural_gpu(8).but(bits=2, start_bits=2, eval_examples=4), [3]) is None


def test_a_fault_planted_in_the_engine_refuses_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = DeepMlp.batches

    def faulty(self: DeepMlp, lanes: Any, level: int) -> Any:
        found = sound(self, lanes, level)
        return replace(found, chosen=found.chosen.roll(1, 1))

    monkeypatch.setattr(DeepMlp, "batches", faulty)
    reason = law.refusal(deep_mlp().but(depth=3), [3])
    assert reason is not None
    assert reason.startswith("its law fails: AssertionError: deep_mlp, noise differs alone and in ")


def test_a_pack_that_loses_a_lane_is_no_measurement() -> None:
    work = deep_mlp().but(depth=2, init_std=100.0, learning_rate=1e6, clip="none")
    wild = Engine(work, 2, segment=4)
    with pytest.raises(LanesLostError, match="2 of 2 lanes ended"):
        wild.train(4)


@pytest.mark.parametrize("system", ["plain loop", "torch.func.vmap", "Seedbed engine"])
def test_a_system_is_timed(system: throughput.System) -> None:
    lanes = 1 if system == "plain loop" else 2
    found = throughput.measure(system, WORK, lanes, steps=2)
    assert 0 < found["rate"] <= 1 / found["train_s"]
    assert found["steps"] == (100 if system == "Seedbed engine" else 2)


def test_a_search_keeps_the_faster_width() -> None:
    found = throughput.search("torch.func.vmap", "neural_gpu, 8 maps", [1, 4], lane_steps=4)
    assert found["curve"][found["lanes"]] == max(found["curve"].values()) == found["rate"]


def test_the_roof_has_every_product_of_a_step_and_every_number_of_noise() -> None:
    work = deep_mlp()
    counted = {n: len(p) for n, p in roof.products(work, 1).items()}
    assert counted == {"forward": 21, "weights": 21, "inputs": 20}
    parameters = sum(p.numel() for p in Engine(work, 1).pack.lanes[0].params.values())
    assert parameters == roof._NUMBERS
    found = roof.measure(WORK, [2], seconds=0.1)
    assert found["roof_s"] == pytest.approx(found["products_s"] + found["noise_s"])
    quiet = roof.measure("deep_mlp, no noise", [2], seconds=0.1)
    assert quiet["roof_s"] == quiet["products_s"]


def test_occupancy_is_a_share_of_what_the_lanes_could_do() -> None:
    found = occupancy.measure(lanes=4, trials=12)
    assert 0.5 < found["with_tail"] <= found["occupancy"] <= 1.0
    assert found["pace"] > 0
    assert found["steps"][0] < found["steps"][2], "trials end at different steps"


def test_calibration_measures_products_and_syncs() -> None:
    found = calibration.measure(0.05)
    assert found["sgemm_gflops"] > 0
    assert found["fsyncs"] > 0


def test_the_control_plane_is_named_as_not_built_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "MODULE", "tests.benchmarks.no_such_module")
    assert control.measure() == {"rows": None}


def test_a_probe_runs_on_one_core_and_one_thread_and_its_failure_is_told() -> None:
    core = launch.cores()[-1]
    assert launch.probe("calibration", core=core, seconds=0.05)["fsyncs"] > 0
    with pytest.raises(launch.ProbeFailedError, match="KeyError: 'no such workload'"):
        launch.probe("law", workload="no such workload", widths=[2])
    assert launch.environment()["OMP_NUM_THREADS"] == "1"


def test_the_command_on_the_page_names_no_folder_of_the_machine() -> None:
    assert _public(["--quick", "--output", "/somewhere", "--raw=/x"]) == ["--quick"]
