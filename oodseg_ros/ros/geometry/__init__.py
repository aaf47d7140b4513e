"""Where things are: camera_info, TF and odometry become what `obstacles` measures with."""
