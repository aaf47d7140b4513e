# Two commands on a machine with only Python, gcc and make:
#   make demo    publish a drive, run the node on it over DDS, leave out/demo/index.html   (INPUT= bag, video or folder)
#   make test    lint and the test suite; slower ones: make test-slow
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST

.PHONY: setup demo test test-slow lint format clean

setup: $(STAMP)

INTERFACES := tools/build_interfaces.py $(wildcard test/interfaces/*/* test/interfaces/*/msg/*)
$(STAMP): $(wildcard requirements/*.txt) pyproject.toml setup.py setup.cfg tools/setup.sh $(INTERFACES)
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh tools/setup.sh
	@touch $@

demo: setup
	$(BIN)/oodseg demo --out out/demo $(if $(INPUT),--input "$(INPUT)")

# Two processes: what DDS leaves behind in one (threads, signal handlers) does not bear training's forks. A test that fails
# runs once more, since nodes over DDS lose a message on a busy machine; one that fails twice fails.
PYTEST = $(BIN)/python -m pytest -m "not slow"
AGAIN = --last-failed --last-failed-no-failures none
test: setup lint
	$(PYTEST) test --ignore=test/ros || $(PYTEST) $(AGAIN) test --ignore=test/ros
	$(PYTEST) test/ros || $(PYTEST) $(AGAIN) test/ros

test-slow: setup
	$(BIN)/python -m pytest test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) out build install log
