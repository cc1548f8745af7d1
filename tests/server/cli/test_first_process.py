"""The service as the first process of a container: its signals, and whom it has to ask after."""

import subprocess
import sys

import pytest

from tests.service import ROOT
from tests.waiting import PATIENCE

NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")

SERVICE = """
import os, signal, subprocess, sys, time
from pathlib import Path
from everturn.server.cli import first_process

assert first_process.is_first()
if (ended := first_process.start_service()) is not None:
    sys.exit(ended)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
subprocess.run(["sh", "-c", "sleep 0.1 &"], check=True)

def others():
    return [p.name for p in Path("/proc").glob("[0-9]*") if int(p.name) not in (1, os.getpid())]

while others():
    time.sleep(0.01)
os.kill(1, signal.SIGTERM)
time.sleep(3600)
"""


def test_signals_are_passed_on_and_no_ended_process_stays() -> None:
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("unshare makes no process namespace here")
    command = [*NAMESPACE, sys.executable, "-c", SERVICE]
    ran = subprocess.run(command, cwd=ROOT, timeout=PATIENCE, check=False)
    assert ran.returncode == 7
