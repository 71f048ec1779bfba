"""Settings as tests write them: two files and an environment."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from act_core.settings import BadSettings, Loaded, load_settings


def load(tmp_path: Path, arc: str = "", app: str = "", env: Mapping[str, str] | None = None) -> Loaded:
    arc_file, app_file = tmp_path / "arc.yaml", tmp_path / "app.yaml"
    arc_file.write_text(arc)
    app_file.write_text(app)
    return load_settings(arc_file, app_file, {"HOME": str(tmp_path), **(env or {})})


def problems(tmp_path: Path, arc: str = "", app: str = "", env: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        load(tmp_path, arc, app, env)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [one.replace(f"{tmp_path}/", "") for one in caught.value.problems]
