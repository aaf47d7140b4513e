"""The rooms and who may import whom, as docs/architecture.md states them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "oodseg_ros"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PLAIN = set(re.findall(r"`(\w+)\.py`", PAGE.split("any of the plain files:")[1].split("Third-party")[0]))
ROS = {"rclpy", "cv_bridge", "tf2_ros", "builtin_interfaces", "rcl_interfaces", "launch", "launch_ros"}


def allowed() -> dict[str, set[str]]:
    """Room → rooms that it may import."""
    table = PAGE.split("| room | holds | may import |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].strip("`/").removesuffix(".py"): set(filter(None, row[2].split(", "))) for row in rows}


def imports(file: Path, types: bool = False) -> Iterator[tuple[str, ...]]:
    """The package's own modules that a file imports, as parts below it; `types` = also those for types alone."""
    tree = ast.parse(file.read_text())
    package = ("oodseg_ros", *file.relative_to(PACKAGE).parts[:-1])
    only_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and (types or id(node) not in only_types):
            base = package[: len(package) - node.level + 1]
            module = (*base, *(node.module or "").split(".")) if node.module else base
            for name in node.names:
                yield (*module[1:], name.name)


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_a_row() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    single = {path.stem for path in PACKAGE.glob("*.py")} - PLAIN - {"__init__"}
    assert rooms | single == set(allowed())


def test_rooms_import_only_what_their_row_names() -> None:
    table, wrong = allowed(), []
    for file in files():
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        may = set() if room in PLAIN else table.get(room, set(table)) | {room}
        for module in imports(file):
            known = module[0] in table or module[0] in PLAIN
            if known and module[0] not in may | PLAIN:
                wrong.append(f"{file.relative_to(ROOT)} imports {'.'.join(module)}")
    assert wrong == []


def test_only_the_ros_room_imports_ros() -> None:
    wrong = []
    for file in files():
        if file.relative_to(PACKAGE).parts[0] == "ros":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            wrong += [f"{file}: {name}" for name in names if name.split(".")[0] in ROS or name.endswith("_msgs.msg")]
    assert wrong == []


def test_no_import_circles_between_files() -> None:
    names = {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in files()}
    arrows: dict[str, set[str]] = {}
    for name, file in names.items():
        found = set()
        for module in imports(file, types=True):
            for end in (len(module), len(module) - 1):
                target = ".".join(module[:end])
                if target in names:
                    found.add(target)
                    break
        arrows[name] = found - {name}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for target in sorted(arrows[name]):
                walk(target, (*path, name))
            done.add(name)

    for name in names:
        walk(name, ())
