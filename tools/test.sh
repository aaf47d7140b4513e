#!/bin/sh
# The test suite in four processes, so that one which dies costs little. A file with a failure runs once more, since
# nodes over DDS lose a message on a busy machine; so does a group whose process dies or stands still: Fast DDS 3.2.3
# can lock up when a publisher is destroyed (its heartbeat thread and the destroying one wait for each other). What
# fails twice fails.
# Usage: tools/test.sh PYTHON
set -u
python="$1"
failed=0
LIMIT=1800  # seconds; the longest group takes 1,100 of them on two quiet cores, 1,340 beside other work

group() {
    echo "== $*"
    rm -f .pytest_cache/v/cache/lastfailed
    timeout -k 10 "$LIMIT" "$python" -m pytest -m "not slow" "$@"
    code=$?
    if [ $code -eq 1 ]; then
        files=$("$python" -c 'import json; print(*{name.split("::")[0] for name in json.load(open(".pytest_cache/v/cache/lastfailed"))})')
        echo "== once more: $files"
        # shellcheck disable=SC2086  # paths of tests hold no spaces
        timeout -k 10 "$LIMIT" "$python" -m pytest -m "not slow" ${files:-"$@"}
        code=$?
    elif [ $code -ge 124 ]; then
        echo "== the process died or stood still ($code); once more: $*"
        timeout -k 10 "$LIMIT" "$python" -m pytest -m "not slow" -v "$@"
        code=$?
    fi
    [ $code -eq 0 ] || failed=1
}

group test --ignore=test/ros --ignore=test/training
group test/training
group test/ros --ignore=test/ros/perception
group test/ros/perception
exit $failed
