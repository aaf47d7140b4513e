# Two commands on a machine with only Python, gcc and make:
#   make demo    publish a drive, run the node on it over DDS, leave out/demo/index.html, in place of an older one
#                (INPUT= bag, video or folder)
#   make test    lint and the test suite; slower ones: make test-slow
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST

.PHONY: setup demo test test-slow lint format benchmark release container clean

setup: $(STAMP)

INTERFACES := tools/build_interfaces.py $(wildcard test/interfaces/*/* test/interfaces/*/msg/*)
$(STAMP): $(wildcard requirements/*.txt) pyproject.toml setup.py setup.cfg tools/setup.sh $(INTERFACES)
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh tools/setup.sh
	@touch $@

demo: setup
	$(BIN)/oodseg demo --out out/demo --overwrite $(if $(INPUT),--input "$(INPUT)")

test: setup lint
	sh tools/test.sh $(BIN)/python

test-slow: setup
	$(BIN)/python -m pytest test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: setup
	$(BIN)/python benchmarks/node_overhead.py
	$(BIN)/python benchmarks/inference.py

# The wheel, and the proof that it works where nothing else is installed.
release: setup
	rm -rf dist && $(BIN)/python -m pip wheel -q --no-deps -w dist .
	$(BIN)/python -m pytest -q test/package/test_install.py

container:
	docker build --build-arg ROS_DISTRO=$(or $(ROS_DISTRO),jazzy) -t oodseg_ros .

clean:
	rm -rf $(VENV) out build install log dist
