""".env: every secret is drawn, for its owner only, and what was there is kept."""

import re
import stat
import subprocess
import sys
from pathlib import Path

from tests.deploy.made import make_env

SCRIPT = Path(make_env.__file__)


def made(file: Path) -> dict[str, str]:
    """What the script makes of the file, as `make up` runs it."""
    subprocess.run([sys.executable, SCRIPT, file], check=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines if line)


def test_a_first_start_draws_every_secret_anew(tmp_path: Path) -> None:
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    assert one.keys() == make_env.DRAWN.keys()
    for name in one:
        assert len(one[name]) >= 24
        assert one[name] != other[name]
        assert re.fullmatch(r"[\w-]+", one[name])  # stands in a URL as it is
    assert re.fullmatch(r"sb_[0-9a-f]{16}_[0-9a-f]{48}", one["SEEDBED_KEY"])


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    assert made(tmp_path / ".env") == made(tmp_path / ".env")


def test_an_older_file_is_completed_and_closed(tmp_path: Path) -> None:
    """A password that was drawn anew would lock the store that was made with the old one."""
    file = tmp_path / ".env"
    file.write_text("# mine\nPOSTGRES_PASSWORD=old\nexport API_PORT=9000\nREDIS_PASSWORD=")
    file.chmod(0o644)
    subprocess.run([sys.executable, SCRIPT, file], check=True)
    text = file.read_text()
    assert text.startswith("# mine\nPOSTGRES_PASSWORD=old\nexport API_PORT=9000\nREDIS_PASSWORD=\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made(file)["POSTGRES_PASSWORD"] == "old"  # noqa: S105 - of this test
    assert len(made(file)["REDIS_PASSWORD"]) >= 24  # the later line wins, for compose as here
