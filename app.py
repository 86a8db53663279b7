"""`python app.py` runs the whole service, web and background work, in one process."""

from __future__ import annotations

import gc
import logging

from waitress import serve

from confbridge import create_app
from confbridge.jobs import start_bell, stop_bell

logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
logging.getLogger("confbridge").setLevel(logging.INFO)

app = create_app()
# What has been loaded by now stays for good: the collector need not look through it again and
# again, which would hold up a request for a tenth of a second now and then.
gc.freeze()

if __name__ == "__main__":
    settings = app.config["CONFBRIDGE"]
    bell = start_bell(app)
    try:
        serve(app, host=settings.host, port=settings.port, threads=16, ident=None)
    finally:
        stop_bell(bell)
