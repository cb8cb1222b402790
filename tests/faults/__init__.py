"""Every part is cut off, killed and frozen under load: no acknowledged update is lost, and no other is stored."""

import os

# Before gRPC is imported. Its fork handlers crash, as this process forks while clients use gRPC in a thread.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
