"""What all tests share; the fixtures themselves stand in `fixtures/`."""

import os

from hypothesis import settings as hypothesis_settings

pytest_plugins = [
    "tests.fixtures.signals",
    "tests.fixtures.garbage",
    "tests.fixtures.workers",
    "tests.fixtures.sockets",
    "tests.fixtures.skipped",
    "tests.fixtures.keys",
    "tests.fixtures.trust",
    "tests.fixtures.databases",
    "tests.fixtures.statements",
    "tests.fixtures.towers",
]

hypothesis_settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis_settings.register_profile("here", deadline=None)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "here")
