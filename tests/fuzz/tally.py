"""What was asked, what was answered, and what a check found wrong."""

from collections import Counter
from dataclasses import dataclass, field

from schemathesis.engine.recorder import ScenarioRecorder

_MOST_SHOWN = 600


@dataclass(frozen=True)
class Wrong:
    """A check that failed on an operation."""

    operation: str
    check: str
    why: str


@dataclass
class Tally:
    """Counts of one or more runs.

    Attributes:
        answers: (operation, status) -> replies.
        checks: check -> how often it was made.
        wrong: what failed -> how often.
        examples: what failed -> a request that shows it, and its answer.
        errors: what kept the engine from asking, or the service from answering.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    wrong: Counter[Wrong] = field(default_factory=Counter)
    examples: dict[Wrong, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Requests that were answered."""
        return self.answers.total()

    def add(self, recorder: ScenarioRecorder) -> None:
        """Counts a scenario."""
        for case_id, interaction in recorder.interactions.items():
            operation = recorder.cases[case_id].value.operation.label
            if interaction.response is None:
                self.errors.append(f"{operation}: no answer to {interaction.request.uri}")
            else:
                self.answers[operation, interaction.response.status_code] += 1
        for case_id, checks in recorder.checks.items():
            operation = recorder.cases[case_id].value.operation.label
            for check in checks:
                self.checks[check.name] += 1
                if check.failure_info is None:
                    continue
                failure = check.failure_info.failure
                why = f"{failure.title}: {failure.message}"[:_MOST_SHOWN]
                wrong = Wrong(operation, check.name, why)
                self.wrong[wrong] += 1
                response = recorder.interactions[case_id].response
                said = "" if response is None else f"{response.content!r}"[:_MOST_SHOWN]
                self.examples.setdefault(wrong, f"{check.failure_info.code_sample}\n{said}")

    def told(self) -> str:
        """Everything that is wrong, for people."""
        lines = [
            f"{count} x {wrong.operation}, {wrong.check}: {wrong.why}\n{self.examples[wrong]}"
            for wrong, count in self.wrong.most_common()
        ]
        return "\n\n".join([*lines, *self.errors])
