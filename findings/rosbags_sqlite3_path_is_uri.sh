#!/usr/bin/env bash
# rosbags 0.11.9: sqlite3 bags in folders whose names hold `%` or `#`.
# Guess, written before: a path is a path; both bags are read from and written to their own folders.
# Seen: the path is put into a SQLite URI unquoted. A bag in `drive%201` is read from the bag `drive 1` beside it, and a
# bag that is written to `run#2` lies in a file `run`; neither is an error.
# Output seen:
#   drive 1: 3 messages of 3; drive%201: 3 messages of 7
#   written to run#2: ['run', 'run#2', 'run#2/metadata.yaml']
# Exits with a status other than 0 when that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install rosbags==0.11.9
mkdir "$folder/bags"
cat > "$folder/try.py" <<'P'
import shutil
import sys
from pathlib import Path

from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
KIND = "std_msgs/msg/String"


def write(path, count):
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/chatter", KIND, typestore=STORE)
        for index in range(count):
            writer.write(connection, index, STORE.serialize_cdr(STORE.types[KIND](str(index)), KIND))


def count(path):
    with Reader(path) as reader:
        return sum(1 for _ in reader.messages()), reader.message_count


bags = Path(sys.argv[1])
write(bags / "drive 1", 3)
write(bags / "other", 7)
second = bags / "drive%201"
second.mkdir()
shutil.copy(bags / "other" / "other.db3", second / "drive 1.db3")
text = (bags / "other" / "metadata.yaml").read_text()
(second / "metadata.yaml").write_text(text.replace("other.db3", "drive 1.db3"))
first, found = count(bags / "drive 1"), count(second)
print(f"drive 1: {first[0]} messages of {first[1]}; drive%201: {found[0]} messages of {found[1]}")
run = bags / "runs"
run.mkdir()
write(run / "run#2", 3)
files = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
print(f"written to run#2: {files}")
raise SystemExit((first, found, files) != ((3, 3), (3, 7), ["run", "run#2", "run#2/metadata.yaml"]))
P
"$folder/venv/bin/python" "$folder/try.py" "$folder/bags"
