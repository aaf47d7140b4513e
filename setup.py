"""ament_python package; data files go to share/oodseg_ros as `ros2 launch` expects."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "oodseg_ros"
# Resolved: with `colcon build --symlink-install` this file is run through a link in the build folder.
ROOT = Path(__file__).resolve().parent
EXTRAS = ("train", "build", "evaluate", "generate", "test")


def requirements(name: str) -> list[str]:
    """Lines of requirements/<name>.txt."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def data_files() -> list[tuple[str, list[str]]]:
    """Every file under launch/, config/ and models/, each folder to its place in share."""
    folders: dict[str, list[str]] = {}
    for root in ("launch", "config", "models"):
        for file in sorted(Path(root).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                folders.setdefault(f"share/{PACKAGE}/{file.parent}", []).append(str(file))
    return list(folders.items())


setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *data_files(),
    ],
    python_requires=">=3.10",
    package_data={PACKAGE: ["py.typed", "templates/*.j2"]},
    # The same version as tools/setup.sh, which takes the CPU build; PyPI's own brings CUDA.
    install_requires=["torch==2.13.0", *requirements("base")],
    extras_require={name: requirements(name) for name in EXTRAS},
    zip_safe=False,
    maintainer="oodseg_ros developers",
    maintainer_email="oodseg_ros@example.org",
    description="Semantic segmentation with anomaly scores and obstacle alerts for ROS 2",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "oodseg = oodseg_ros.start:oodseg",
            "perception = oodseg_ros.start:perception",
        ]
    },
)
