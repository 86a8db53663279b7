# `make` alone lists the targets.
PYTHON := .venv/bin/python

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run:  ## set up what is missing, then serve the demo province until interrupted
	@deploy/setup run
	@exec $(PYTHON) deploy/run.py

test:  ## set up what is missing, then run every test
	@deploy/setup test
	@$(PYTHON) -m pytest -n 2 --ignore=tests/stories $(ARGS)
	@exec $(PYTHON) -m pytest -n 2 tests/stories $(ARGS)

lint:  ## linters and types
	@deploy/setup test
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

bench:  ## time bookings, what the pages ask, and letters, against their floors
	@deploy/setup test
	@$(PYTHON) bench/booking.py
	@$(PYTHON) bench/reading.py
	@$(PYTHON) bench/mail.py
	@exec $(PYTHON) bench/live.py

words:  ## collect the texts to translate into translations/vi
	@deploy/setup test
	@$(PYTHON) deploy/words.py collect

clean:  ## remove what setting up made (keeps var/, where the data is)
	rm -rf .venv node_modules confbridge/static/dist

.PHONY: help run test lint bench words clean
