"""Version 1 of Userfold's API.

`user_service_pb2_grpc.UserServiceStub` is the client; `user_service_pb2` holds its requests and answers,
`user_pb2` and `campaign_pb2` what they carry.
"""
