"""Work that nobody waits for.

A job is a plain function that does one piece of work and says whether there
was any. What is due is a column in the database, never a job in a scheduler:
APScheduler only rings the bell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import click
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from flask import Flask

from confbridge.jobs import mailroom
from confbridge.jobs.attendance import work_on_one
from confbridge.jobs.bridges import visit_one
from confbridge.jobs.chasing import chase_one
from confbridge.jobs.conferences import close_one, open_one
from confbridge.jobs.holds import release_one, serve_one
from confbridge.jobs.mailroom import read_mail
from confbridge.jobs.postman import deliver_some

log = logging.getLogger(__name__)

Job = Callable[[], bool]

SCHEDULE: dict[Job, float] = {  # job: seconds between two rings
    deliver_some: 1,
    read_mail: 1,
    chase_one: 5,
    open_one: 1,
    close_one: 1,
    visit_one: 1,
    work_on_one: 0.5,
    release_one: 5,
    serve_one: 5,
}
MOST_AT_ONCE = 200


def run_until_idle(app: Flask, job: Job) -> int:
    """Do the job's pieces one by one; one that fails must not stop the bell."""
    done = 0
    while done < MOST_AT_ONCE:
        try:
            with app.app_context():
                if not job():
                    break
        except Exception:
            log.exception("%s failed", job.__name__)
            break
        done += 1
    return done


def start_bell(app: Flask) -> BaseScheduler:
    """Ring for every job beside the web server, in threads of this process."""
    bell = BackgroundScheduler(timezone="UTC")
    _fill(bell, app)
    bell.start()
    return bell


def stop_bell(bell: BaseScheduler) -> None:
    """Ring no more; what is at work ends with the piece it is at."""
    mailroom.stopping.set()
    bell.shutdown(wait=False)


def init_app(app: Flask) -> None:
    @app.cli.command("worker")
    def worker() -> None:
        """Run the background jobs until interrupted."""
        bell = BlockingScheduler(timezone="UTC")
        _fill(bell, app)
        click.echo(f"{len(SCHEDULE)} jobs; stop with Ctrl-C")
        bell.start()


def _fill(bell: BaseScheduler, app: Flask) -> None:
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    for job, seconds in SCHEDULE.items():
        bell.add_job(
            run_until_idle,
            "interval",
            [app, job],
            seconds=seconds,
            id=job.__name__,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
