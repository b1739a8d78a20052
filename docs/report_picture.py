"""Takes `docs/images/report.png`, the picture in the README: the top of a report, as Chromium or Chrome shows it.

Run from the repository's root: `python docs/report_picture.py runs/reports/recommendation-small.html`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).parent / "images" / "report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def take(report: Path, picture: Path, width: int, height: int, sandbox: bool) -> None:
    """Write `picture` of the top `width` x `height` pixels of a report; raises SystemExit where that cannot be."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"no browser found: install one of {', '.join(BROWSERS)}")
    if not report.is_file():
        sys.exit(f"{report} is not there: write it with `adaptune report`")
    with tempfile.TemporaryDirectory() as profile:
        made = Path(profile) / "picture.png"
        command = [browser, *OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        command += [] if sandbox else ["--no-sandbox"]
        command += [f"--screenshot={made}", report.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if not made.exists():
            sys.exit(f"{browser} took no picture:\n{done.stderr}")
        shutil.move(made, picture)
    print(f"wrote {picture}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path, help="a report that `adaptune report` wrote")
    parser.add_argument("--out", type=Path, default=PICTURE, help="where to write the picture")
    parser.add_argument("--width", type=int, default=1280, help="of the window, in pixels; 360 is a phone")
    parser.add_argument("--height", type=int, default=1500, help="of the window, in pixels")
    parser.add_argument("--no-sandbox", action="store_true", help="for containers, where Chromium needs it")
    given = parser.parse_args()
    take(given.report, given.out, given.width, given.height, not given.no_sandbox)
