"""`perception --help` is answered before anything of ROS is begun."""

import subprocess
import sys


def test_help_is_printed_and_the_process_ends():
    code = "from oodseg_ros.ros.perception import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: perception")
