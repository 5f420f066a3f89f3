"""Settings of the test session. ``reference``, ``tolerances`` and ``strategies`` lie beside it."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Before the first import of Keras: the back end that the test extra installs, on the CPU.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Keras runs a few tiny frames of every network here: compiling it is the work, not running it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# The same examples on every machine and in every run; HYPOTHESIS_PROFILE=search draws many new ones.
# No deadlines: the first example of a shape pays for the compilation of what it is compared with.
common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", common, derandomize=True, database=None)
settings.register_profile("search", common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With REFUSE_SKIPS, for where everything is installed, a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("REFUSE_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
