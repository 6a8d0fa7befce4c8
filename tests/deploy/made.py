"""deploy/make_env.py as a module: it is a script that needs no installation."""

import importlib.util
from pathlib import Path

_FILE = Path(__file__).parent.parent.parent / "deploy" / "make_env.py"
_spec = importlib.util.spec_from_file_location("make_env", _FILE)
assert _spec is not None
assert _spec.loader is not None
make_env = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_env)
