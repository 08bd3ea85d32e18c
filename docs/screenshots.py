"""Take the page's screenshots, docs/images/serve.png and serve_dark.png, with Playwright in a Chromium.

python docs/screenshots.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
CHROMIUM = os.environ.get("AUTOENC_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = {"light": "serve.png", "dark": "serve_dark.png"}
LIKES = "?like=Rear+Window+(1954)&like=Alien+(1979)&like=Spirited+Away+(Sen+to+Chihiro+no+kamikakushi)+(2001)"


def take(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for scheme, name in PICTURES.items():
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1180, "height": 720})
            page.goto(address + LIKES)
            page.wait_for_selector("main:not(.loading)")
            page.locator("button.name").first.click()
            page.mouse.move(0, 0)
            page.screenshot(path=DOCS / "images" / name)
            print(f"{name}: {(DOCS / 'images' / name).stat().st_size / 1000:.0f} kB")
        browser.close()


def main() -> None:
    command = [sys.executable, "-m", "autoenc", "serve", "--port", "0"]
    server = subprocess.Popen(command, cwd=DOCS.parent, stderr=subprocess.PIPE, text=True)
    try:
        said = next(line for line in server.stderr if line.startswith("serving"))
        take(said.split(" at ")[1].split()[0])
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()


if __name__ == "__main__":
    main()
