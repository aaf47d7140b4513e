"""ament_python package; data files go to share/oodseg_ros as `ros2 launch` expects."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "oodseg_ros"


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
    package_data={PACKAGE: ["templates/*.j2"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *data_files(),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    maintainer="oodseg_ros developers",
    maintainer_email="oodseg_ros@example.org",
    description="Semantic segmentation with anomaly scores and obstacle alerts for ROS 2",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "oodseg = oodseg_ros.cli.main:main",
            "perception = oodseg_ros.ros.perception:main",
        ]
    },
)
