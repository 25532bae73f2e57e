"""The wire: content stores and their metadata, served and reached over gRPC as containerd does.

    protos      the messages, ours in writing, containerd's in numbers and names
    client      the other end: `RemoteStore`, `RemoteCatalog`

A daemon assembles `server.Server` from `services.all_services`.
"""
