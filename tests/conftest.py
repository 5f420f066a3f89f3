"""Settings of the test session. Test files import ``reference``, ``tolerances`` and ``strategies``."""

from __future__ import annotations

import os

import hypothesis

# Before the first import of Keras: the back end that the test extra installs, and no log lines.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# The same examples on every machine and in every run; HYPOTHESIS_PROFILE=search looks for new ones.
# No deadlines: the first example of a shape pays for the compilation of the network it is compared with.
COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, **COMMON)
hypothesis.settings.register_profile("search", max_examples=1000, **COMMON)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
