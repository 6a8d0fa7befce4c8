"""The controller never imports torch, whatever way its modules lead."""

import subprocess
import sys


def test_the_whole_service_in_a_fresh_process_leaves_torch_out() -> None:
    """Every module of it, the pool and the catalogue of experiments included."""
    code = (
        "import importlib, pkgutil, sys, service; "
        "names = [m.name for m in pkgutil.walk_packages(service.__path__, 'service.') "
        "if 'migrations' not in m.name]; "
        "[importlib.import_module(name) for name in names]; "
        "from models.catalog import experiments; experiments(); "
        "processes = {f'service.processes.{n}' for n in ('api', 'dispatcher', 'embedded')}; "
        "assert processes | {'service.api.app', 'service.cli.app'} <= set(names); "
        "assert 'workers.pool' in sys.modules; "
        "heavy = sorted({'torch', 'mlxtend'} & sys.modules.keys()); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
