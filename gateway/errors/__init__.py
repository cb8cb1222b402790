"""Why a request is refused: for the client as JSON, for the operator in log and metrics."""
