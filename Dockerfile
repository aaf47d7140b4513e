# The node in a container, CPU only; --build-arg ROS_DISTRO=humble (Python 3.10), jazzy or kilted (3.12).
#   docker build -t oodseg_ros .
#   docker run --rm --network host --ipc host oodseg_ros image_topic:=/front/image_raw
# DDS between container and host needs their network and their shared memory.
ARG ROS_DISTRO=jazzy

FROM ros:${ROS_DISTRO}-ros-base AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY requirements /src/requirements
# The environment sees the distribution's rclpy and messages. Its numpy 1 decides ours: its compiled messages need it.
RUN python3 -m venv --system-site-packages /opt/oodseg \
    && sed -e 's/^numpy==.*/numpy>=1.26,<2/' -e 's/^\(opencv-python-headless\)==.*/\1/' \
        /src/requirements/base.txt | sort -u > /tmp/base.txt \
    && /opt/oodseg/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 \
    && /opt/oodseg/bin/pip install --no-cache-dir -r /tmp/base.txt
COPY . /src
# No dependencies: they are there, with the versions that fit the distribution.
RUN /opt/oodseg/bin/pip install --no-cache-dir --no-deps /src \
    && mkdir -p /opt/oodseg/lib/oodseg_ros \
    && ln -s ../../bin/perception ../../bin/oodseg /opt/oodseg/lib/oodseg_ros/

FROM ros:${ROS_DISTRO}-ros-base AS runtime
ENV DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        "ros-${ROS_DISTRO}-vision-msgs" "ros-${ROS_DISTRO}-tf2-ros" "ros-${ROS_DISTRO}-cv-bridge" \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 oodseg
COPY --from=build /opt/oodseg /opt/oodseg
COPY tools/container.sh /usr/local/bin/container.sh
ENV OODSEG_CACHE=/home/oodseg/.cache/oodseg
USER 10001
WORKDIR /home/oodseg
ENTRYPOINT ["/usr/local/bin/container.sh"]
