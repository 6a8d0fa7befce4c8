"""Reading a spec: YAML 1.2 numbers, and a refusal with its line for all that could mislead."""

import io
import json
from pathlib import Path

import pytest

from service.client import SpecFileError, read_spec


def write(folder: Path, text: str, name: str = "spec.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_and_words_are_read_by_yaml_1_2(tmp_path: Path) -> None:
    """What YAML 1.1 would misread: 1e-3 as a word, no as false, a date as a date."""
    text = "a: 1e-3\nb: no\nc: 2026-11-24\nd: 0.5\ne: true\nf: null\ng: -3\nh: 1:30\n"
    assert read_spec(write(tmp_path, text)) == {
        "a": 0.001, "b": "no", "c": "2026-11-24", "d": 0.5,
        "e": True, "f": None, "g": -3, "h": "1:30",
    }  # fmt: skip


@pytest.mark.parametrize(
    "root", ["12345678901234567890123456789012", "0" * 32, "123e4567890123456789012345678901"]
)
def test_a_root_that_looks_like_a_number_stays_a_word(tmp_path: Path, root: str) -> None:
    assert read_spec(write(tmp_path, f"root: {root}\n")) == {"root": root}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: &x 1\nb: *x\n", 1, "anchors and aliases"),
        ("a: 1\nb: *x\n", 2, "anchors and aliases"),
        ("a: 1\nb: !!python/name:os.system ''\n", 2, "tags are refused"),
        ("a: 1\nb: !!str 2\n", 2, "tags are refused"),
        ("a: 1\nb: 2\na: 3\n", 3, "twice"),
        ("a: {b: 1, b: 2}\n", 1, "twice"),
        ("a: 1\n2: 3\n", 2, "not a word"),
        ("a: 1\n  b: [\n", 2, "not YAML"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", 1, "levels deep"),
    ],
)
def test_yaml_is_refused_with_the_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(SpecFileError, match=words) as caught:
        read_spec(write(tmp_path, text))
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": 1', "not JSON"),
        ("[1, 2]", "a spec is a mapping"),
    ],
)
def test_json_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SpecFileError, match=words):
        read_spec(write(tmp_path, text, "spec.json"))


def test_an_empty_file_a_missing_one_and_a_large_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecFileError, match="it is empty"):
        read_spec(write(tmp_path, ""))
    with pytest.raises(SpecFileError, match="cannot be read"):
        read_spec(tmp_path / "nothing.yaml")
    with pytest.raises(SpecFileError, match="larger than"):
        read_spec(write(tmp_path, "a: " + "x" * (1 << 20)))


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps({"a": 1}).encode())))
    assert read_spec("-") == {"a": 1}
