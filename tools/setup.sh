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

# A pinned build, because an open range would pull gigabytes of CUDA onto a machine without a GPU, or none onto one with.
choice=$(tools/torch_build.sh "${TORCH:-auto}")
torch="${choice%%|*}"; rest="${choice#*|}"; index="${rest%%|*}"
echo "setup: torch: ${torch:-as it is} (${rest#*|}; make setup TORCH=cpu, cuda or installed decides otherwise)"
if [ -n "$torch" ] && ! "$VENV/bin/python" - "$torch" "$index" 2>/dev/null <<'PY'
import sys, torch
wanted, index = sys.argv[1].partition("==")[2], sys.argv[2]
same = not wanted or torch.__version__.partition("+")[0] == wanted.partition("+")[0]
sys.exit(not (same and (torch.version.cuda is None) == index.endswith("/cpu")))
PY
then
    # The configured index may have the CPU build; builds with CUDA come from the index that names their version.
    case "$index" in
        */cpu) $PIP install "$torch" 2>/dev/null || $PIP install --extra-index-url "$index" "$torch" ;;
        # From there torch alone; the second call finds it installed and adds what it needs from the configured index.
        *) $PIP install --no-deps --index-url "$index" "$torch" && $PIP install torch ;;
    esac
fi
if [ -n "$torch" ] && [ "${index%/cpu}" = "$index" ]; then
    "$VENV/bin/python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
        echo "setup: this torch sees no CUDA device: see docs/install.md"
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
