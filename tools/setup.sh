#!/bin/sh
# Makes $VENV with everything that demo and tests need. Called by `make setup`; safe to call again.
set -eu
PIP="$VENV/bin/python -m pip --disable-pip-version-check -q"

base="requirements/base.txt"

# A sourced ROS 2 brings its own rclpy: then the environment sees the system's packages and no ROS wheels are installed.
if [ -n "${ROS_DISTRO:-}" ] && "$PYTHON" -c 'import rclpy' 2>/dev/null; then
    echo "setup: using the sourced ROS 2 $ROS_DISTRO"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv --system-site-packages "$VENV"
    ros=""
    if [ "$("$VENV/bin/python" -c 'import numpy; print(numpy.__version__.split(".")[0])' 2>/dev/null)" = 1 ]; then
        # Its compiled messages and cv_bridge were built with numpy 1 and fail with 2; that also decides OpenCV's version.
        base="$VENV/base-numpy1.txt"
        sed -e 's/^numpy==.*/numpy>=1.26,<2/' -e 's/^\(opencv-python-headless\)==.*/\1/' requirements/base.txt >"$base"
    fi
else
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    ros="-r requirements/ros.txt -r requirements/interfaces.txt"
fi

# "+cpu" can never match a CUDA build. Where the configured index has no such build, PyTorch's own CPU index has.
TORCH="torch==2.13.0+cpu"
if ! "$VENV/bin/python" -c 'import sys, torch; sys.exit(torch.__version__ != "2.13.0+cpu")' 2>/dev/null; then
    echo "setup: installing $TORCH"
    $PIP install "$TORCH" 2>/dev/null || $PIP install --extra-index-url https://download.pytorch.org/whl/cpu "$TORCH"
fi
echo "setup: installing requirements/"
# shellcheck disable=SC2086
$PIP install -r "$base" -r requirements/train.txt -r requirements/build.txt -r requirements/evaluate.txt \
    -r requirements/test.txt $ros
$PIP install -r requirements/generate.txt || echo "setup: tests of generated pictures will skip themselves"
$PIP install --no-deps -e .
if [ "$(uname -m)" = x86_64 ]; then
    # With it, tests compile every network for a GPU that need not be there. Seconds, 90 MB.
    $PIP install -r requirements/tensorrt_rtx.txt || echo "setup: tests of TensorRT builds will skip themselves"
fi
if [ -n "$ros" ]; then
    # Message packages that PyPI lacks. Only tests need them, so a machine without a C++ compiler goes on without.
    echo "setup: generating messages (once, under a minute)"
    "$VENV/bin/python" tools/build_interfaces.py || echo "setup: tests of vision_msgs will skip themselves"
fi
echo "setup: done"
