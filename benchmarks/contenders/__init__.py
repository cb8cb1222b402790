"""What Userfold is compared with: other servers, the bare driver and a bare gRPC server."""
