"""Files on FTP and SFTP servers, read and written in pieces.

async with open_file_server("sftp://ann:secret@files.example", host_key="ssh-ed25519 AAAA...") as files:
    async for chunk in files.read("/in/orders.csv"):
        ...
"""

from connectors.fileservers.opening import open_file_server
from connectors.fileservers.server import FileServer, RemoteFile

__all__ = ["FileServer", "RemoteFile", "open_file_server"]
