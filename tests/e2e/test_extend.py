"""A real sweep is extended by seeds over REST and by an arm by command, and ends as one whole."""

import pytest

from tests.e2e.conftest import Serve, until
from tests.e2e.test_serve import command

pytestmark = [pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]

ARMS = {"plain": {"noise_eta": 0.0}, "noisy": {"noise_eta": 0.01}}
SPEC = {
    "name": "extended",
    "experiment": "deep_mlp",
    "fixed": {"depth": 3, "width": 8, "learning_rate": 0.1},
    "arms": ARMS,
    "seeds": 3,
    "cohort": 2,
    "root": "5eedbed1" * 4,
    "budget": {"steps": 200},
    "success": {"metric": "test_accuracy", "at_least": 0.3},
    "primary": {"arm": "noisy", "against": "plain"},
}


def test_a_sweep_extended_twice_holds_the_bits_of_one_submitted_whole(serve: Serve) -> None:
    running = serve(SEEDBED_PACK_LANES="8")
    client = running.client

    def finish(sweep: str) -> None:
        until(lambda: client.progress(sweep)["state"] == "finished", 180)

    part = client.submit(SPEC)["id"]
    finish(part)
    assert client.extend(part, seeds=5)["trials"] == 10
    finish(part)
    said = command("extend", part, "--arm", "louder", "noise_eta=0.1", "--url", running.url)
    assert said.returncode == 0, said.stderr
    assert "5 of 15 trials to run" in said.stdout
    finish(part)
    whole = client.submit(SPEC | {"seeds": 5, "arms": ARMS | {"louder": {"noise_eta": 0.1}}})["id"]
    finish(whole)

    def outcomes(sweep: str) -> dict[tuple[str, int], tuple[str, int, str, str]]:
        return {
            (t["arm"], t["seed"]): (t["state"], t["steps"], t["fingerprint"], repr(t["metrics"]))
            for t in client.trials(sweep)
        }

    assert len(outcomes(part)) == 15
    assert outcomes(part) == outcomes(whole)
    found = client.report(part)["findings"]
    assert found["first_plan"]["seeds"] == 3
    pairs = [
        [(k["arm"], k["table"], k["anytime"]) for k in c["contrasts"]] for c in found["criteria"]
    ]
    other = client.report(whole)["findings"]
    assert pairs == [
        [(k["arm"], k["table"], k["anytime"]) for k in c["contrasts"]] for c in other["criteria"]
    ]
