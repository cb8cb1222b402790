"""Nothing acknowledged is lost, nothing foreign gets in: every part is cut, killed and frozen under load."""

import os

# Before gRPC is imported: clients run it in a thread while this process forks, and its handlers of a fork crash then.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
