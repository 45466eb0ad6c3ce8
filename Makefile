# `make demo` and `make test` do all their own set-up; after `make setup`, `.venv/bin/python -m gridwing` works from here.
# ARGS are handed on: make demo ARGS="--headless --for 120", make test ARGS="-k ledger".
.PHONY: setup demo test chaos soak fuzz lint lock asyncapi sheets

setup:
	@tools/setup

demo:
	@tools/setup
	@exec .venv/bin/python -m gridwing demo $(ARGS)

test:
	@tools/setup --tests
	@.venv/bin/python -m pytest $(ARGS)

# Fifty kills of ingest, ten restarts and twenty kills of the broker, a minute without a database; what is lost is counted.
chaos:
	@tools/setup
	@exec .venv/bin/python -m gridwing chaos $(ARGS)

# Broken streams and pictures through the real watch for an hour at six times the speed; refusals and memory are told.
soak:
	@tools/setup
	@exec .venv/bin/python -m gridwing soak $(ARGS)

# Coverage-guided fuzzing of everything that reads a device's bytes, for five minutes by default.
fuzz:
	@tools/setup --tests
	@PYTHONPATH=. exec .venv/bin/python tests/fuzz/decoders.py $(or $(ARGS),-max_total_time=300)

lint:
	@tools/setup --tests
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# Take the newest releases pyproject.toml allows. Needs uv; run it on a machine whose index is the public one.
lock:
	tools/lock

# Write down what is said on the broker, from the code that reads it.
asyncapi:
	@tools/setup
	.venv/bin/python -m gridwing asyncapi > docs/asyncapi.json.part && mv docs/asyncapi.json.part docs/asyncapi.json

# What the hazard network in use finds, misses and makes up on the frozen second renderer, a picture a class.
sheets:
	@tools/setup
	rm -f docs/sheets/*.jpg
	.venv/bin/python -m gridwing models measure --set heldout --pictures 240 --sheet docs/sheets
