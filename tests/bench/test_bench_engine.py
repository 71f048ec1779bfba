"""The benchmark of a job's life finds that it went well, and measures all that it names."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 300
JOBS = 4
FETCHED, PUT = 4, 1  # a listing and three files; the commit


def test_a_life_is_measured_from_its_insertion_to_its_cleaning() -> None:
    words = [sys.executable, "-m", "benchmarks.engine", "--jobs", str(JOBS), "--wire", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    said = json.loads(done.stdout)
    assert said["said"] == []
    found = {one["what"]: one["value"] for one in said["figures"]}
    assert found["HTTP requests per job"] >= FETCHED + PUT
    assert found["bytes received per job"] > 3 * 1000
    assert min(found["statements per job"], found["commits per job"], found["CPU of ours per job: fetch"]) > 0
    wanted = {one["what"]: one["wanted"] for one in said["figures"] if one["wanted"] is not None}
    assert wanted == {"CPU per job": 2.0, "statements per job": 1.0, "commits per job": 0.2}
