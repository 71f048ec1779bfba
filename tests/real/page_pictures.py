"""`make screenshots`: pictures of the page for docs/pictures, of an invented tower."""

import sys
import tempfile
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[2]))

from browser import PHONE, WIDE, chromium, visit

from tests.web.filled import filled
from tests.web.served import served

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
FOREIGN = "no route to host: the site's switch is being replaced"
JOB = "/jobs/atlas/7000000001.0"
Size = tuple[int, int]
Scheme = Literal["light", "dark"]
LOW = (WIDE[0], 720)
# Few, and each below 150 kB: what is below the first screen is in the live page.
WANTED: tuple[tuple[str, str, Size, Scheme], ...] = (
    ("overview-desk-light", "/", WIDE, "light"),
    ("overview-desk-dark", "/", WIDE, "dark"),
    ("ce-desk-light", "/ces/hpc-west", LOW, "light"),
    ("job-desk-light", JOB, WIDE, "light"),
    ("past-desk-light", "/?at=2h ago", WIDE, "light"),
    ("overview-phone-light", "/", PHONE, "light"),
    ("jobs-phone-dark", "/jobs?state=donefailed&app=atlas", PHONE, "dark"),
    ("job-phone-light", JOB, PHONE, "light"),
)
LARGEST = 150_000  # bytes


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="act-pictures-") as directory, chromium() as browser:
        settings = filled(Path(directory) / "state", foreign=FOREIGN)
        with served(settings) as client:
            password = settings.page_password.read_text().strip()
            for name, place, size, scheme in WANTED:
                with visit(browser, str(client.base_url).rstrip("/"), size, scheme) as seen:
                    seen.sign_in("admin", password)
                    seen.go(place)
                    seen.page.wait_for_timeout(300)  # the figures' last frame
                    _keep(name, seen.page.screenshot())


def _keep(name: str, picture: bytes) -> None:
    if len(picture) > LARGEST:
        raise SystemExit(f"{name}: {len(picture)} bytes, and {LARGEST} are the most")
    (PICTURES / f"{name}.png").write_bytes(picture)


if __name__ == "__main__":
    main()
