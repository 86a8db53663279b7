"""Work that nobody waits for.

A job is a plain function that does one piece of work and says whether there
was any. What is due is a column in the database, never a job in a scheduler:
APScheduler only rings the bell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import click
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from flask import Flask

from confbridge.jobs import calls, mailroom
from confbridge.jobs.attendance import forget_old, work_on_some
from confbridge.jobs.bridges import rescue_one, visit_one
from confbridge.jobs.chasing import chase_one
from confbridge.jobs.conferences import close_one, dial_one, open_one, watch_one
from confbridge.jobs.holds import release_one, serve_one
from confbridge.jobs.mailroom import read_mail
from confbridge.jobs.postman import deliver_some

log = logging.getLogger(__name__)

Job = Callable[[], bool]

SCHEDULE: dict[Job, float] = {  # job: seconds between two rings
    rescue_one: 0.5,
    deliver_some: 1,
    read_mail: 1,
    chase_one: 5,
    open_one: 1,
    dial_one: 1,
    watch_one: 2,
    close_one: 1,
    visit_one: 0.5,
    work_on_some: 0.5,
    forget_old: 3600,
    release_one: 5,
    serve_one: 5,
}
# Jobs that wait for bridges: one that hangs must not keep the others waiting.
SIDE_BY_SIDE: dict[Job, int] = {visit_one: 4, open_one: 4, close_one: 2, dial_one: 8}
MOST_AT_ONCE = 200
THREADS = 32


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
    bell = BackgroundScheduler(timezone="UTC", executors=_threads())
    _fill(bell, app)
    bell.start()
    return bell


def stop_bell(bell: BaseScheduler) -> None:
    """Ring no more; what is at work ends with the piece it is at."""
    mailroom.stopping.set()
    calls.stop()
    bell.shutdown(wait=False)


def init_app(app: Flask) -> None:
    @app.cli.command("worker")
    def worker() -> None:
        """Run the background jobs until interrupted."""
        bell = BlockingScheduler(timezone="UTC", executors=_threads())
        _fill(bell, app)
        click.echo(f"{len(SCHEDULE)} jobs; stop with Ctrl-C")
        bell.start()


def _threads() -> dict[str, ThreadPoolExecutor]:
    return {"default": ThreadPoolExecutor(THREADS)}


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
            max_instances=SIDE_BY_SIDE.get(job, 1),
            misfire_grace_time=None,
        )
    bell.add_job(
        _take_calls,
        "interval",
        [app],
        seconds=5,
        next_run_time=datetime.now(UTC),
        id="take_calls",
        coalesce=True,
        misfire_grace_time=None,
    )


def _take_calls(app: Flask) -> None:
    try:
        with app.app_context():
            calls.take_calls(app.app_context)
    except Exception:
        log.exception("taking calls failed")
