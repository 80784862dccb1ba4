"""`python -m scada.opcua_server FD`: started by `OpcuaService`, never by hand; FD is its end of the link."""

import sys

from scada.opcua_server.process import main

if len(sys.argv) != 2 or not sys.argv[1].isdigit():
    raise SystemExit("this process is started by `scada run`")
main(int(sys.argv[1]))
