"""The Userfold server: folds partial updates of users into profiles in MongoDB, over gRPC."""
